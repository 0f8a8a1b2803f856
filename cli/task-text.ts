/** Tasks as lines of text. */
import type { TaskDescription } from '../client/tasks.ts';
import { fit, harmless, pad, type Paint, seconds, type Style, widthOf } from './terminal.ts';

const DAY_MS = 86_400_000;

/** Enough to be unique among what a person sees; commands take any unique beginning. */
export const shortId = (task: { readonly id: string }): string => task.id.slice(0, 8);

/** Rows of an adopted table may have states of their own. */
export const STATE_STYLES: Partial<Record<string, Style>> = {
  pending: 'dim',
  running: 'cyan',
  completed: 'green',
  failed: 'red',
  cancelled: 'yellow',
};

export function changeText(change: TaskDescription['change']): string {
  if (!change) return 'no change';
  const files = change.files.length;
  const counts = `${files} ${files === 1 ? 'file' : 'files'} changed, +${change.additions ?? 0} −${change.deletions ?? 0}`;
  return change.partial ? `${counts} (partial)` : counts;
}

/** How long ago, in one unit. */
function ageText(iso: string | null, now: number): string {
  if (!iso) return '';
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** Until when a task waits, as a clock on the wall here shows it. */
export function clockText(iso: string, now: number): string {
  const at = new Date(iso);
  const two = (part: number): string => String(part).padStart(2, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (new Date(now).toDateString() === at.toDateString()) return `until ${time}`;
  return `until ${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** How long a task still waits; `undefined`: a day or more, or not any longer. */
export function leftText(iso: string, now: number): string | undefined {
  const leftMs = Date.parse(iso) - now;
  return leftMs > 0 && leftMs < DAY_MS ? `${seconds(leftMs)} left` : undefined;
}

/** Beside times that are durations, too. */
export const waitText = (iso: string, now: number): string => leftText(iso, now) ?? clockText(iso, now);

/** Whether a cancel is on its way to a task at work: its agent is being stopped, whatever it did last. */
export const isStopping = ({ state, phase, cancel_requested_at: asked }: TaskDescription): boolean =>
  state === 'running' && asked !== null && phase !== 'collecting' && phase !== 'cleaning';

/** A phase says more than that it runs; of one that waits, how long. */
function stateText(task: TaskDescription, now: number): string {
  const { state, phase, waits_until: until } = task;
  if (state !== 'running') return harmless(state);
  if (isStopping(task)) return 'stopping';
  return phase === 'waiting_limit' && until ? `${phase}, ${waitText(until, now)}` : harmless(phase);
}

/** A table whose last column takes what is left of the line; `columns` undefined: all of it. */
export function tableText(
  tasks: readonly TaskDescription[],
  { columns, now, paint }: { columns: number | undefined; now: number; paint: Paint },
): string {
  const rows = tasks.map((task) => [
    shortId(task),
    stateText(task, now),
    harmless(task.agent ?? '-'),
    harmless(task.project_name ?? '-'),
    ageText(task.created_at, now),
  ]);
  const header = ['ID', 'STATE', 'AGENT', 'PROJECT', 'AGE'];
  const widths = header.map((title, index) => Math.max(title.length, ...rows.map((row) => widthOf(row[index] ?? ''))));
  const padded = (cells: readonly string[]): string[] => cells.map((cell, index) => pad(cell, widths[index] ?? 0));
  const left = widths.reduce((sum, width) => sum + width + 2, 0);
  const lines = tasks.map((task, index) => {
    const cells = padded(rows[index] ?? []);
    const state = paint(STATE_STYLES[task.state] ?? 'dim', cells[1] ?? '');
    const input = harmless(task.input).trim().split('\n')[0] ?? '';
    const rest = columns === undefined ? input : fit(input, Math.max(20, columns - left));
    return [cells[0], state, ...cells.slice(2), rest].join('  ').trimEnd();
  });
  return [paint('dim', [...padded(header), 'INPUT'].join('  ')), ...lines].join('\n');
}
