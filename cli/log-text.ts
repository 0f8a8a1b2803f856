/** Formats the log lines of the parts for a terminal. Some parts log one JSON object a line, others plain text. */
import { harmless, type Paint, type Style } from './terminal.ts';

const LEVELS: Readonly<Record<number, readonly [name: string, style: Style]>> = {
  10: ['trace', 'dim'],
  20: ['debug', 'dim'],
  30: ['info', 'dim'],
  40: ['warn', 'yellow'],
  50: ['error', 'red'],
  60: ['fatal', 'red'],
};
/**
 * Fields that are not shown separately, because the line already contains them or because they are the same in all
 * lines.
 */
const OMITTED = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'v']);

/** Returns the line as `time level message field=value …`. A line that is no JSON object is returned as it is. */
export function readableLine(line: string, paint: Paint): string {
  const entry = entryIn(line);
  if (!entry) return harmless(line);
  const { time, level, msg } = entry;
  const [name, style] = LEVELS[Number(level)] ?? [String(level), 'dim'];
  const at = typeof time === 'number' || typeof time === 'string' ? new Date(time) : undefined;
  const clock = at && !Number.isNaN(at.getTime()) ? at.toTimeString().slice(0, 8) : '';
  const fields = Object.entries(entry).flatMap(([key, value]) => (OMITTED.has(key) ? [] : [`${key}=${textOf(value)}`]));
  const words = [
    clock,
    paint(style, name.padEnd(5)),
    typeof msg === 'string' ? msg : '',
    paint('dim', fields.join(' ')),
  ];
  return harmlessLine(words);
}

/**
 * Joins the columns of a line. Longhaul's own colour sequences remain, but control sequences in the logged message are
 * removed.
 */
const harmlessLine = ([clock = '', level = '', msg = '', fields = '']: readonly string[]): string =>
  [clock, level, harmless(msg), fields].filter((word) => word !== '').join(' ');

function entryIn(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'level' in value ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the text of a field's value. The message and the stack of an error become further lines. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return /[\s"=]/.test(value) ? JSON.stringify(harmless(value)) : harmless(value);
  if (typeof value === 'object' && value !== null && 'stack' in value && typeof value.stack === 'string') {
    return `\n  ${harmless(value.stack).replaceAll('\n', '\n  ')}`;
  }
  return harmless(JSON.stringify(value) ?? '');
}

/** Formats a stream of text line by line. An incomplete last line is kept until the rest of it arrives. */
export class ReadableLog {
  readonly #paint: Paint;
  #begun = '';

  constructor(paint: Paint) {
    this.#paint = paint;
  }

  add(text: string): string {
    const lines = (this.#begun + text).split('\n');
    this.#begun = lines.pop() ?? '';
    return lines.map((line) => `${readableLine(line, this.#paint)}\n`).join('');
  }

  /** Returns the incomplete last line at the end of the stream. */
  end(): string {
    const last = this.#begun;
    this.#begun = '';
    return last === '' ? '' : readableLine(last, this.#paint);
  }
}
