/** `longhaul queue`: shows the waiting tasks of a session, changes them, and holds or releases the queue. */
import type { Command } from 'commander';
import { messageTo } from '../client/follow-up.ts';
import {
  changeQueue,
  dequeueTask,
  editTask,
  getQueue,
  moveTask,
  type QueueState,
  resolveSession,
} from '../client/session-queue.ts';
import { submit } from '../client/submit.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe } from '../client/tasks.ts';
import { type SessionId, shortId, type TaskId } from '../contract/ids.ts';
import type { OnFailure } from '../contract/vocabulary.ts';
import { runCommand } from './exit.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { inputFrom } from './submission.ts';
import { type Cell, tableLines } from './table.ts';
import { ageText, firstLine } from './task-text.ts';
import { painter } from './terminal.ts';

interface Options {
  readonly json?: boolean;
  readonly onFailure?: OnFailure;
}

export const queueAction = (text: string, options: Options) =>
  inSession(options, text, ({ longhaul }, sessionId) =>
    options.onFailure === undefined
      ? getQueue(longhaul, sessionId)
      : changeQueue(longhaul, { sessionId, onFailure: options.onFailure }),
  );

export const holdAction = (text: string, _options: unknown, command: Command) =>
  inSession(command.optsWithGlobals(), text, ({ longhaul }, sessionId) =>
    changeQueue(longhaul, { sessionId, held: true }),
  );

export const releaseAction = (text: string, _options: unknown, command: Command) =>
  inSession(command.optsWithGlobals(), text, ({ longhaul }, sessionId) =>
    changeQueue(longhaul, { sessionId, held: false }),
  );

export const addAction = (text: string, words: string[], _options: unknown, command: Command) => {
  const options: Options = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async (context) => {
      const { longhaul, services } = context;
      const sessionId = await resolveSession(longhaul, text);
      const submission = await messageTo(longhaul, sessionId, { input: await inputFrom(words) });
      const deps = { ...longhaul, temporal: longhaul.temporal, projectRoots: services.settings.projectRoots };
      await printTask(context, (await submit(deps, submission)).taskId, options, (id) => id);
    }),
  );
};

export const editAction = (text: string, words: string[], _options: unknown, command: Command) =>
  ofTask(command.optsWithGlobals(), text, 'edited', async ({ longhaul }, taskId) =>
    editTask(longhaul, taskId, await inputFrom(words)),
  );

export const removeAction = (text: string, _options: unknown, command: Command) =>
  ofTask(command.optsWithGlobals(), text, 'removed', ({ longhaul }, taskId) => dequeueTask(longhaul, taskId));

export const moveAction = (text: string, place: number, _options: unknown, command: Command) => {
  const options: Options = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const queue = await moveTask(longhaul, await resolveTaskId(longhaul.sql, text), place);
      printQueue(queue, options);
    }),
  );
};

function inSession(
  options: Options,
  text: string,
  work: (context: CommandContext, sessionId: SessionId) => Promise<QueueState>,
): Promise<void> {
  return runCommand(options, () =>
    withLonghaul(async (context) => {
      const queue = await work(context, await resolveSession(context.longhaul, text));
      printQueue(queue, options);
    }),
  );
}

function printQueue(queue: QueueState, { json }: Options): void {
  process.stdout.write(`${json ? JSON.stringify(queue) : queueText(queue)}\n`);
}

function ofTask(
  options: Options,
  text: string,
  done: string,
  work: (context: CommandContext, taskId: TaskId) => Promise<void>,
): Promise<void> {
  return runCommand(options, () =>
    withLonghaul(async (context) => {
      const taskId = await resolveTaskId(context.longhaul.sql, text);
      await work(context, taskId);
      await printTask(context, taskId, options, (id) => `task ${shortId(id)} is ${done}`);
    }),
  );
}

async function printTask(
  { longhaul }: CommandContext,
  taskId: TaskId,
  { json }: Options,
  textOf: (id: TaskId) => string,
): Promise<void> {
  process.stdout.write(`${json ? JSON.stringify(await describe(longhaul, taskId)) : textOf(taskId)}\n`);
}

/** Returns the text that shows the running task, whether the queue is held, and the waiting tasks in their order. */
export function queueText(
  queue: QueueState,
  { columns, now, paint } = {
    columns: process.stdout.isTTY ? process.stdout.columns : undefined,
    now: Date.now(),
    paint: painter(process.stdout),
  },
): string {
  const running = queue.running === null ? [] : [`runs: task ${shortId(queue.running)}`];
  const rows = queue.tasks.map((task, at): Cell[] => [
    { text: String(at + 1) },
    { text: shortId(task.task_id) },
    { text: ageText(task.created_at, now) },
    { text: firstLine(task.input) },
  ]);
  const header = [{ title: '#' }, { title: 'TASK' }, { title: 'AGE', dropped: 1 }, { title: 'INPUT' }];
  const table = rows.length === 0 ? ['no task waits'] : tableLines(header, rows, { columns, paint });
  const more = queue.waiting > rows.length ? [`… and ${queue.waiting - rows.length} more`] : [];
  return [...running, ...heldLines(queue), ...table, ...more].join('\n');
}

function heldLines({ held_since: since, held_after: after, on_failure: onFailure }: QueueState): string[] {
  const setting = onFailure === 'hold' ? ['a task that fails or is cancelled holds this queue'] : [];
  if (since === null) return setting;
  const why = after === null ? '' : `, after task ${shortId(after)}`;
  return [`held${why}: no task starts until \`longhaul queue release\``, ...setting];
}
