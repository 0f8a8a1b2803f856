/** Formats tasks as lines of text. */
import type { TaskDescription } from '../client/tasks.ts';
import { type Cell, type Column, tableLines } from './table.ts';
import { harmless, type Paint, seconds, type Style } from './terminal.ts';
import { shortId } from '../contract/ids.ts';
import { NATIVE_AGENT } from '../contract/names.ts';

const DAY_MS = 86_400_000;

/** The table is partial, because rows of an adopted table may have states of their own. */
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

/** Returns the time that has passed since `iso`, in one unit, for instance `5 min`. */
export function ageText(iso: string | null, now: number): string {
  if (!iso) return '';
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** Returns the local time until which a task waits, with the date unless it is today. */
export function clockText(iso: string, now: number): string {
  const at = new Date(iso);
  const isToday = new Date(now).toDateString() === at.toDateString();
  return `until ${isToday ? timeOf(at) : `${dateOf(at)} ${timeOf(at)}`}`;
}

/** Formats a timestamp of the database as local time, such as `2025-03-01 14:05:09`. Returns null if there is none. */
export function timeText(iso: string | null): string | null {
  if (iso === null) return null;
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? iso : `${dateOf(at)} ${timeOf(at)}`;
}

const twoDigits = (part: number): string => String(part).padStart(2, '0');
const dateOf = (at: Date): string => `${at.getFullYear()}-${twoDigits(at.getMonth() + 1)}-${twoDigits(at.getDate())}`;
const timeOf = (at: Date): string => [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(':');

/** Returns the duration until `iso`. Undefined if it is a day or more, or if `iso` is in the past. */
export function leftText(iso: string, now: number): string | undefined {
  const leftMs = Date.parse(iso) - now;
  return leftMs > 0 && leftMs < DAY_MS ? `${seconds(leftMs)} left` : undefined;
}

/**
 * Returns the duration until `iso` if it is less than a day, otherwise the local time. For output that shows other
 * times as durations, too.
 */
export const waitText = (iso: string, now: number): string => leftText(iso, now) ?? clockText(iso, now);

/**
 * Returns whether a running task has a cancel request, so that its agent is being stopped. The phase does not show
 * this.
 */
export const isStopping = ({ state, phase, cancel_requested_at: asked }: TaskDescription): boolean =>
  state === 'running' && asked !== null && phase !== 'collecting' && phase !== 'cleaning';

/**
 * Returns whether the worktree of a completed task was kept because the agent's work could not be stored as a change.
 */
export const isKept = ({ state, kept_worktree }: Pick<TaskDescription, 'state' | 'kept_worktree'>): boolean =>
  state === 'completed' && kept_worktree !== null;

/**
 * Returns the state of a task, or the phase of a running task. If the task waits for a usage limit, the text also says
 * how much longer, or until when.
 */
function stateText(task: TaskDescription, now: number): string {
  const { state, phase, waits_until: until } = task;
  if (isKept(task)) return `${state}, work kept`;
  if (state !== 'running') return harmless(state);
  if (isStopping(task)) return 'stopping';
  return phase === 'waiting_limit' && until ? `waits, ${waitText(until, now)}` : phaseText(phase);
}

const PHASE_TEXTS: Readonly<Record<string, string>> = {
  waiting_permission: 'waits for an answer',
  waiting_limit: 'waits for a limit',
};

/** Returns the phase in words. A phase that another program wrote is returned as it is. */
export const phaseText = (phase: string): string => PHASE_TEXTS[phase] ?? harmless(phase);

/**
 * Limits the column of the state to half of the terminal's width, so that a long state leaves room for the other
 * columns.
 */
const mostOf = (columns: number | undefined): { most?: number } =>
  columns === undefined ? {} : { most: Math.max(10, Math.floor(columns / 2)) };

/**
 * Returns the agent that does the task. The native agent does it also if the task names an agent that is not listed.
 */
export const agentOf = ({ agent, execution_path: path }: Pick<TaskDescription, 'agent' | 'execution_path'>): string =>
  agent === null || path === 'native' ? NATIVE_AGENT : agent;

/** Returns a table of tasks, no line of which is wider than the terminal. If `columns` is undefined, no line is cut. */
export function tableText(
  tasks: readonly TaskDescription[],
  { columns, now, paint }: { columns: number | undefined; now: number; paint: Paint },
): string {
  const header: readonly Column[] = [
    { title: 'ID' },
    { title: 'STATE', ...mostOf(columns) },
    { title: 'SESSION', dropped: 1 },
    { title: 'AGENT', most: 16, dropped: 3 },
    { title: 'PROJECT', most: 24, dropped: 4 },
    { title: 'AGE', dropped: 2 },
    { title: 'INPUT' },
  ];
  const rows = tasks.map((task): Cell[] => [
    { text: shortId(task.id) },
    { text: stateText(task, now), style: isKept(task) ? 'yellow' : STATE_STYLES[task.state] },
    { text: task.session_id ? shortId(task.session_id) : '-' },
    { text: harmless(agentOf(task)) },
    { text: harmless(task.project_name ?? '-') },
    { text: ageText(task.created_at, now) },
    { text: firstLine(task.input) },
  ]);
  return tableLines(header, rows, { columns, paint }).join('\n');
}

/** Returns the first line that is not empty, without control sequences; an empty text if there is none. */
export const firstLine = (text: string): string => harmless(text).trim().split('\n')[0] ?? '';
