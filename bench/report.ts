/** Formats the results of a bench: as a table for people and as JSON for programs. */
import { cpus, release, totalmem } from 'node:os';

/**
 * A target that is printed beside the figure. No bench fails because of it, because times also depend on the machine.
 */
export interface Target {
  readonly figure: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Line {
  readonly what: string;
  /** The number of measurements. */
  readonly n: number;
  /** The unit of all figures in the line. Empty for a ratio or a count. */
  readonly unit: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly target?: Target;
}

export interface Outcome {
  /** The conditions under which the figures were measured. */
  readonly conditions: readonly string[];
  readonly lines: readonly Line[];
}

export interface Result extends Outcome {
  readonly name: string;
  readonly seconds: number;
}

/** Returns whether the line's figure meets the target. Returns undefined if the line has no target. */
export const isMet = ({ figures, target }: Line): boolean | undefined => {
  const value = target && figures[target.figure];
  if (value === undefined) return undefined;
  return (
    value <= (target?.atMost ?? Number.POSITIVE_INFINITY) && value >= (target?.atLeast ?? Number.NEGATIVE_INFINITY)
  );
};

function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value
    .toFixed(digits)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');
}

function targetText(line: Line): string {
  const { target } = line;
  if (!target) return '';
  const bound = target.atMost === undefined ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`;
  return `${target.figure} ${bound}: ${isMet(line) === true ? 'met' : 'missed'}`;
}

function cells(line: Line): string[] {
  const figures = Object.entries(line.figures).map(([name, value]) => `${name} ${number(value)}`);
  return [line.what, String(line.n), `${figures.join('  ')} ${line.unit}`.trimEnd(), targetText(line)];
}

const HEAD = ['what', 'n', 'figures', 'target'];

/** Returns the table of one bench, with the conditions below it. */
export function table({ name, seconds, conditions, lines }: Result): string {
  const rows = [HEAD, ...lines.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const text = rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
  return [`${name} (${seconds.toFixed(0)} s)`, ...text, ...conditions.map((line) => `  · ${line}`), ''].join('\n');
}

export interface Machine {
  readonly at: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gb: number;
  readonly linux: string;
  readonly node: string;
  readonly commit: string;
}

export function machine(commit: string): Machine {
  const all = cpus();
  return {
    at: new Date().toISOString(),
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    linux: release(),
    node: process.version,
    commit,
  };
}

export function json(where: Machine, results: readonly Result[]): string {
  const shown = results.map((result) => ({
    ...result,
    lines: result.lines.map((line) => (line.target ? { ...line, met: isMet(line) } : line)),
  }));
  return `${JSON.stringify({ machine: where, results: shown }, undefined, 2)}\n`;
}
