/** Follows a task to its end, or until Ctrl-C detaches the command, for `run` and `watch`. */
import type { Longhaul } from '../client/connection.ts';
import { framesOutsideMessages, followTask } from '../client/follow-task.ts';
import { getQueue } from '../client/session-queue.ts';
import { describe, taskBuiltOn, type TaskDescription } from '../client/tasks.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { isFinal } from '../contract/task.ts';
import { AnswerKeys } from './answer-keys.ts';
import { endLines } from './end-text.ts';
import { EXIT, setMessageWithoutReader } from './exit.ts';
import type { CommandContext } from './longhaul.ts';
import { liveScreen } from './live-screen.ts';
import { plainScreen } from './plain-screen.ts';
import { printLines } from './print-lines.ts';
import type { LiveLine, Screen } from './screen.ts';
import { watchServices } from './service-watch.ts';
import { isKept } from './task-text.ts';
import { harmless, painter } from './terminal.ts';
import { Timeline } from './timeline.ts';

const EXPLAIN_AFTER_MS = 5_000;

export interface FollowOptions {
  readonly json?: boolean;
  /** Whether the input is shown. `watch` sets it; with `run` the user has just typed the input. */
  readonly showsInput: boolean;
  /** Whether the whole output of tools is shown. */
  readonly verbose?: boolean;
  /**
   * If this signal is aborted, the command detaches, as after Ctrl-C. `run` passes it, because `run` handles Ctrl-C
   * itself from the time before it submits the task.
   */
  readonly signal?: AbortSignal;
}

/** Returns the exit code: that of the task's end, or 0 if the command detached. */
export async function followToEnd(context: CommandContext, taskId: TaskId, options: FollowOptions): Promise<number> {
  if (!options.json && !options.showsInput) setMessageWithoutReader(leftText(taskId));
  const detach = new AbortController();
  const onSignal = (): void => detach.abort();
  if (options.signal) options.signal.addEventListener('abort', onSignal);
  else process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  if (options.signal?.aborted) detach.abort();
  try {
    if (options.json) await printFrames(context, taskId, detach.signal);
    else await showTimeline(context, taskId, { ...options, signal: detach.signal });
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    options.signal?.removeEventListener('abort', onSignal);
  }
  const task = await describe(context.longhaul, taskId).catch((error: unknown) => {
    // After Ctrl-C an unavailable database is not reported as a failure.
    if (detach.signal.aborted) return undefined;
    throw error;
  });
  if (!task || (detach.signal.aborted && !isFinal(task.state))) {
    if (options.json)
      process.stderr.write(`longhaul: detached; task ${taskId} continues: longhaul watch ${shortId(taskId)}\n`);
    else printLines(detachedLines(taskId));
    return EXIT.done;
  }
  if (!options.json) printLines(endLines(task, await taskBuiltOn(context.longhaul, taskId, task.change)));
  return exitCodeOfTask(task);
}

async function printFrames({ longhaul }: CommandContext, taskId: TaskId, signal: AbortSignal): Promise<void> {
  for await (const page of followTask(longhaul, { taskId, signal })) {
    process.stdout.write(page.map((frame) => `${JSON.stringify(frame)}\n`).join(''));
  }
}

/** Shows the timeline until the task has ended or `signal` is aborted. */
export async function showTimeline(
  { longhaul, services }: CommandContext,
  taskId: TaskId,
  { showsInput, verbose = false, signal }: FollowOptions & { signal: AbortSignal },
): Promise<void> {
  const paint = painter(process.stdout);
  const task = await describe(longhaul, taskId);
  printLines(headerLines(task));
  const screen: Screen =
    process.stdout.isTTY && process.env['TERM'] !== 'dumb'
      ? liveScreen(process.stdout, paint)
      : plainScreen(process.stdout);
  const since = task.created_at ? Date.parse(task.created_at) : Date.now();
  const keys = new AnswerKeys(longhaul, { taskId, say: (text) => timeline.note(text) });
  const timeline: Timeline = new Timeline({
    taskId,
    screen,
    since,
    showsInput,
    verbose,
    typing: () => keys.typing,
  });
  screen.onKey?.((key) => {
    keys.press(key);
    screen.redraw?.();
  });
  const watch = watchServices(services.settings, (text) => timeline.note(text));
  const explaining = setTimeout(() => void explainWaiting(longhaul, taskId, screen), EXPLAIN_AFTER_MS);
  try {
    const onRead = watch.reportDatabase;
    for await (const page of followTask(longhaul, { taskId, signal, onRead })) {
      for (const frame of page) keys.see(frame);
      const [first] = page; // a snapshot is always the only frame of its page
      if (first?.type === 'snapshot') timeline.catchUp(first, await framesOutsideMessages(longhaul.sql, taskId, first));
      else timeline.showPage(page);
    }
  } finally {
    clearTimeout(explaining);
    watch.stop();
    timeline.end({ continues: signal.aborted });
  }
}

/**
 * Shows the user why a task has not started. It is called after EXPLAIN_AFTER_MS, because intake normally starts a task
 * within milliseconds.
 */
async function explainWaiting(longhaul: Longhaul, taskId: TaskId, screen: Screen): Promise<void> {
  const task = await describe(longhaul, taskId).catch(() => undefined);
  if (task?.state !== 'pending' || task.run_id !== null) return;
  const { session_id: session } = task;
  const queue = session === null ? undefined : await getQueue(longhaul, session).catch(() => undefined);
  screen.line(
    session !== null && queue && queue.held_since !== null
      ? `! not started yet: the queue of its session is held (longhaul queue release ${shortId(session)})`
      : '! not started yet: the task waits for an earlier task of its session, or for the services (longhaul status)',
    'yellow',
  );
}

function exitCodeOfTask(task: Pick<TaskDescription, 'state' | 'kept_worktree'>): number {
  if (task.state === 'cancelled') return EXIT.cancelled;
  // The task's work is in no change, so the exit code reports a failure.
  if (isKept(task)) return EXIT.taskFailed;
  return task.state === 'failed' ? EXIT.taskFailed : EXIT.done;
}

function headerLines(task: TaskDescription): LiveLine[] {
  const session = task.session_id === null ? [] : [`session ${shortId(task.session_id)}`];
  const facts = [task.agent ?? 'no agent', task.project_path ?? task.project_name ?? 'no project', ...session];
  return [{ text: `task ${shortId(task.id)} ${facts.map(harmless).join(' · ')}`, style: 'bold' }];
}

function detachedLines(taskId: TaskId): LiveLine[] {
  const id = shortId(taskId);
  const lines = [
    '',
    'Detached; the task continues.',
    `  longhaul watch ${id}    follow it`,
    `  longhaul cancel ${id}   cancel it`,
  ];
  return lines.map((text) => ({ text }));
}

function leftText(taskId: TaskId): string {
  const id = shortId(taskId);
  return `longhaul: the reader of the output has closed the pipe; task ${id} continues: longhaul watch ${id}`;
}
