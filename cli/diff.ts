/**
 * `longhaul diff`: prints the change of a task, or the sum of the changes of a session. On a terminal it prints a text
 * for reading, anywhere else the stored patch, byte for byte.
 */
import type { Longhaul } from '../client/connection.ts';
import { findId, notFoundError } from '../client/short-ids.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { keptWorktreeMessage } from '../maintenance/kept-work.ts';
import { describe, getDiff, getPatch, listTasks, taskBuiltOn } from '../client/tasks.ts';
import { unfollowableIn } from '../maintenance/patch-check.ts';
import { sessionDiff } from '../maintenance/session-diff.ts';
import { type SessionId, shortId, type TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { isFinal } from '../contract/task.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';
import { APPLY } from './apply-recipe.ts';
import { type PatchSource, printPatch, refuse } from './patch-output.ts';
import { isKept } from './task-text.ts';
import { harmless, type Paint, painter, type Style, visible } from './terminal.ts';

/** The number of a session's newest tasks that are checked for kept work. */
const SESSION_TASKS = 200;

interface DiffOptions {
  readonly json?: boolean;
  readonly session?: boolean;
}

/** The change of a task or a session that the command prints. */
interface Found extends Omit<PatchSource, 'patch' | 'unfollowableLinks' | 'task'> {
  /** For a session, the newest task whose change is in the sum. */
  readonly newest?: TaskId | null;
  readonly base_commit: string | null;
  /** The task on whose result the change is based. */
  readonly before?: TaskId | undefined;
  /** What `--json` prints. */
  readonly facts: object;
  /** Reads the patch. Called only to print the patch, because a patch may have 100 MB. */
  patch(): Promise<Buffer | null>;
}

export const diffAction = (text: string, options: DiffOptions) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul, services }) => {
      const { home } = services.settings;
      const taskId = await (options.session ? taskOfSession(longhaul, text) : taskOf(longhaul, text));
      const found = await (options.session ? ofSession(longhaul, home, taskId) : ofTask(longhaul, taskId));
      if (options.json) process.stdout.write(`${JSON.stringify(found?.facts ?? null)}\n`);
      if (!found || found.diff === '') {
        const kept = await keptWorktreeMessage(longhaul, home, taskId);
        if (kept !== undefined) return refuse(kept);
      }
      if (options.json) return;
      if (!found) return sayNone(longhaul, taskId);
      if (!process.stdout.isTTY || found.diff === '')
        return printPatch(await sourceOf(longhaul, home, { taskId, found }));
      process.stdout.write(readText(found, takeLines(taskId, found.before, options)));
    }),
  );

async function taskOf({ sql }: Longhaul, text: string): Promise<TaskId> {
  try {
    return await resolveTaskId(sql, text);
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.code !== 'task_not_found') throw error;
    if ((await findId(sql, 'session', text)) === undefined) throw error;
    const sum = `\`longhaul diff --session ${text}\` prints the sum of its changes`;
    throw new LonghaulError(
      'task_not_found',
      `${text} is a session, not a task: ${sum}, \`longhaul ls --session ${text}\` lists its tasks.`,
    );
  }
}

/** Resolves the text to a task. The id of a session resolves to the session's newest task. */
async function taskOfSession(longhaul: Longhaul, text: string): Promise<TaskId> {
  const { sql } = longhaul;
  const sessionId = await findId(sql, 'session', text);
  if (sessionId === undefined) return resolveTaskId(sql, text);
  const [newest] = await listTasks(longhaul, { sessionId, limit: 1 });
  if (!newest) throw notFoundError('task', text);
  return newest.id;
}

async function ofTask(longhaul: Longhaul, taskId: TaskId): Promise<Found | undefined> {
  const diff = await getDiff(longhaul, taskId);
  if (!diff) return undefined;
  return {
    ...diff,
    before: await taskBuiltOn(longhaul, taskId, diff),
    commits: diff.result_commit,
    facts: diff,
    patch: () => getPatch(longhaul, diff),
  };
}

async function ofSession(longhaul: Longhaul, home: string, taskId: TaskId): Promise<Found | undefined> {
  const found = await sessionDiff(longhaul, home, taskId);
  if (!found) return undefined;
  const { patch, newest, ...facts } = found;
  await noteKeptWork(longhaul, facts.session_id);
  if (facts.begins_after_removed_task) {
    process.stderr.write(
      `longhaul: an earlier task of the session was removed; this sum does not include its change and begins at its result ${facts.base_commit}.\n`,
    );
  } else if (facts.earlier_changes > 0) {
    const count = `${facts.earlier_changes} earlier ${facts.earlier_changes === 1 ? 'change' : 'changes'}`;
    process.stderr.write(
      `longhaul: the session started again from the project after ${count}; this sum does not include ${facts.earlier_changes === 1 ? 'it' : 'them'}.\n`,
    );
  }
  return { ...facts, commits: `${facts.base_commit}..${facts.result_commit}`, facts, newest, patch: async () => patch };
}

/** Prints a note for each task whose work could not be stored as a change, because the sum lacks that work. */
async function noteKeptWork(longhaul: Longhaul, sessionId: SessionId): Promise<void> {
  for (const task of (await listTasks(longhaul, { sessionId, limit: SESSION_TASKS })).filter(isKept)) {
    const note = `the work of task ${shortId(task.id)} is not in this sum: its worktree was kept at ${harmless(task.kept_worktree ?? '')}`;
    process.stderr.write(`longhaul: ${note}; longhaul show ${shortId(task.id)} says why.\n`);
  }
}

async function sourceOf(
  longhaul: Longhaul,
  home: string,
  { taskId, found }: { taskId: TaskId; found: Found },
): Promise<PatchSource> {
  const [patch, links] = await Promise.all([found.patch(), unfollowableIn(longhaul, home, taskId, found)]);
  return { ...found, task: shortId(found.newest ?? taskId), patch, unfollowableLinks: links };
}

async function sayNone(longhaul: Longhaul, taskId: TaskId): Promise<void> {
  const { state } = await describe(longhaul, taskId);
  const soFar = isFinal(state) ? 'left no change' : `is ${state} and has left no change yet`;
  process.stderr.write(`task ${shortId(taskId)} ${soFar}\n`);
}

/**
 * Returns lines that say how to apply a change. If the change is based on the change of task `before`, git cannot apply
 * it to a checkout that lacks the change of `before`. So a second line says how to apply all changes of the session.
 * `whole` is the command that prints the whole change.
 */
export function takeLines(
  taskId: TaskId,
  before: TaskId | undefined,
  { session }: Pick<DiffOptions, 'session'>,
): { readonly whole: string; readonly lines: readonly string[] } {
  const id = shortId(taskId);
  const whole = `longhaul diff ${session ? '--session ' : ''}${id}`;
  if (before === undefined) return { whole, lines: [`apply it to your checkout: ${whole} | ${APPLY}`] };
  return {
    whole,
    lines: [
      `on top of the change of task ${shortId(before)}, into a checkout that has it: ${whole} | ${APPLY}`,
      `into a checkout that does not have it, all changes of the session: longhaul diff --session ${id} | ${APPLY}`,
    ],
  };
}

function readText({ diff, diff_truncated }: Found, { whole, lines }: ReturnType<typeof takeLines>): string {
  const paint = painter(process.stdout);
  const last = [`\n${lines.join('\n')}\n`];
  if (diff_truncated)
    last.unshift(`\nThe change is long: this is its beginning. The whole change: ${whole} > change.patch\n`);
  return coloured(diff, paint) + last.map((line) => paint('dim', line)).join('');
}

const STYLES: readonly (readonly [string, Style])[] = [
  ['diff ', 'bold'],
  ['+++', 'bold'],
  ['---', 'bold'],
  ['+', 'green'],
  ['-', 'red'],
  ['@@', 'cyan'],
];

/** Returns the diff with colours for its lines. Control characters of the diff are replaced. */
export function coloured(diff: string, paint: Paint): string {
  const lines = visible(diff).split('\n');
  return lines
    .map((line) => {
      const style = STYLES.find(([start]) => line.startsWith(start))?.[1];
      return style ? paint(style, line) : line;
    })
    .join('\n');
}
