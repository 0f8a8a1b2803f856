/**
 * The table of docs/fault-matrix.md from what passes of the matrix have recorded:
 *
 *   LONGHAUL_FAULTS_SEED=1 LONGHAUL_FAULTS_RESULTS=1.jsonl npm run test:faults -- test/faults/matrix
 *   node --import tsx test/faults/matrix/table.ts 1.jsonl 2.jsonl 3.jsonl
 */
import { readFile } from 'node:fs/promises';
import { median } from '../../../bench/statistics.ts';
import * as moment from './moments.ts';
import { hasAgent, PARKED_MOMENTS } from './parked-moments.ts';
import { ACTION_ROWS, PATH_ROWS, PATH_VICTIMS, PROMPT_ROWS } from './paths.ts';
import type { CellResult } from './results.ts';

const seen: CellResult[] = [];
for (const file of process.argv.slice(2)) {
  const lines = (await readFile(file, 'utf8')).split('\n').filter(Boolean);
  seen.push(...lines.map((line) => JSON.parse(line) as CellResult));
}
if (seen.length === 0)
  throw new Error('expected files of recorded cells, found none: LONGHAUL_FAULTS_RESULTS names one');

const different = (values: readonly string[]): string[] => [...new Set(values)];
const victims = different(seen.map((cell) => cell.victim));
const IN_ORDER = [
  moment.QUEUED,
  moment.OPEN_SESSION,
  moment.CREATE_WORKTREE,
  moment.DISPATCH,
  moment.MID_STREAM,
  moment.DIFF,
  moment.QUEUE_CHANGE,
  moment.REMOVE,
  moment.FINISH,
];
const PARKED_ROWS = PARKED_MOMENTS.map(({ name }) => name);
const moments = [...IN_ORDER.map(({ name }) => name), ...PARKED_ROWS, ...PATH_ROWS, ...PROMPT_ROWS, ...ACTION_ROWS];
/** Rows without an agent that could be killed. */
const WITHOUT_AGENT: readonly string[] = [
  ...PARKED_MOMENTS.flatMap((one) => (hasAgent(one) ? [] : [one.name])),
  ...ACTION_ROWS,
];
const of = (at: string, victim: string): CellResult[] =>
  seen.filter((cell) => cell.moment === at && cell.victim === victim);

function cellText(at: string, victim: string): string {
  const cells = of(at, victim);
  const isCell = PATH_ROWS.includes(at)
    ? PATH_VICTIMS.some((one) => one === victim)
    : victim !== 'agent' || !WITHOUT_AGENT.includes(at);
  if (cells.length === 0) return isCell ? 'not run' : '–';
  const passes = `${cells.length} ×`;
  if (cells.every((cell) => cell.noAgent)) return `${passes} (no agent then)`;
  return `${passes}, ${median(cells.map((cell) => cell.seconds)).toFixed(0)} s`;
}

function recoveryText(victim: string): string {
  const times = seen.flatMap((cell) => (cell.victim === victim && cell.workingMs !== null ? [cell.workingMs] : []));
  if (times.length === 0) return '';
  const inSeconds = (ms: number): string => (ms / 1_000).toFixed(1);
  return `${inSeconds(median(times))} s (${inSeconds(Math.min(...times))} to ${inSeconds(Math.max(...times))})`;
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const variants = moments.map((at) => {
  const names = different(seen.filter((cell) => cell.moment === at).map((cell) => cell.variant));
  return `- **${at}**: ${names.toSorted().join('; ')}`;
});
process.stdout.write(
  `${[
    `Seeds ${different(seen.map((cell) => String(cell.seed))).join(', ')}; ${seen.length} cells passed.`,
    '',
    row(['killed at ↓, what →', ...victims]),
    row(['---', ...victims.map(() => '---')]),
    ...moments.map((at) => row([at, ...victims.map((victim) => cellText(at, victim))])),
    row(['**mid-stream: kill → the agent’s next word**', ...victims.map(recoveryText)]),
    '',
    ...variants,
  ].join('\n')}\n`,
);
