/** What `run` and `watch` share: follow a task to its end, or until Ctrl-C detaches. */
import type { Longhaul } from '../client/connection.ts';
import { followTask } from '../client/follow-task.ts';
import { describe, type TaskDescription } from '../client/tasks.ts';
import { isFinal, type TaskId } from '../workflows/contract.ts';
import { EXIT, sayIfReaderLeaves } from './exit.ts';
import type { CommandContext } from './longhaul.ts';
import { liveScreen, plainScreen, type Screen } from './screen.ts';
import { watchServices } from './service-watch.ts';
import { changeText, shortId } from './task-text.ts';
import { harmless, type Paint, painter, seconds } from './terminal.ts';
import { Timeline } from './timeline.ts';

const PATIENCE_MS = 5_000;

export interface FollowOptions {
  readonly json?: boolean;
  /** The task was not handed over by this command. */
  readonly showsInput: boolean;
  /** All of what tools printed. */
  readonly verbose?: boolean;
}

/** Returns the exit code: of the task, or 0 when detached. */
export async function followToEnd(context: CommandContext, taskId: TaskId, options: FollowOptions): Promise<number> {
  if (!options.json && !options.showsInput) sayIfReaderLeaves(leftText(taskId));
  const detach = new AbortController();
  const onSignal = (): void => detach.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    if (options.json) await printFrames(context, taskId, detach.signal);
    else await showTimeline(context, taskId, { ...options, signal: detach.signal });
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
  const task = await describe(context.longhaul, taskId).catch((error: unknown) => {
    // Who leaves while the database is away has left all the same.
    if (detach.signal.aborted) return undefined;
    throw error;
  });
  if (!task || (detach.signal.aborted && !isFinal(task.state))) {
    if (!options.json) process.stdout.write(detachedText(taskId));
    return EXIT.done;
  }
  if (!options.json) process.stdout.write(endText(task, painter(process.stdout)));
  return exitCodeOfTask(task);
}

async function printFrames({ longhaul }: CommandContext, taskId: TaskId, signal: AbortSignal): Promise<void> {
  for await (const page of followTask(longhaul, { taskId, signal })) {
    process.stdout.write(page.map((frame) => `${JSON.stringify(frame)}\n`).join(''));
  }
}

/** Until the task has ended or `signal` is aborted. */
export async function showTimeline(
  { longhaul, services }: CommandContext,
  taskId: TaskId,
  { showsInput, verbose = false, signal }: FollowOptions & { signal: AbortSignal },
): Promise<void> {
  const paint = painter(process.stdout);
  const task = await describe(longhaul, taskId);
  process.stdout.write(headerText(task, paint));
  const screen: Screen =
    process.stdout.isTTY && process.env['TERM'] !== 'dumb'
      ? liveScreen(process.stdout, paint)
      : plainScreen(process.stdout);
  const since = task.created_at ? Date.parse(task.created_at) : Date.now();
  const timeline = new Timeline({ taskId, screen, since, showsInput, verbose });
  const watch = watchServices(services.settings, (text) => timeline.note(text));
  const explaining = setTimeout(() => void explainWaiting(longhaul, taskId, screen), PATIENCE_MS);
  try {
    const onLook = watch.databaseLooked;
    for await (const page of followTask(longhaul, { taskId, signal, onLook })) {
      for (const frame of page) timeline.show(frame);
    }
  } finally {
    clearTimeout(explaining);
    watch.stop();
    timeline.end({ goesOn: signal.aborted });
  }
}

/** Intake takes milliseconds; whoever still waits then should know for what. */
async function explainWaiting(longhaul: Longhaul, taskId: TaskId, screen: Screen): Promise<void> {
  const task = await describe(longhaul, taskId).catch(() => undefined);
  if (task?.state !== 'pending' || task.run_id !== null) return;
  screen.line(
    '! not started yet: it waits for its turn in the session, or for the services (longhaul status)',
    'yellow',
  );
}

function exitCodeOfTask(task: Pick<TaskDescription, 'state'>): number {
  if (task.state === 'cancelled') return EXIT.cancelled;
  return task.state === 'failed' ? EXIT.taskFailed : EXIT.done;
}

function headerText(task: TaskDescription, paint: Paint): string {
  const facts = [task.agent ?? 'no agent', task.project_path ?? task.project_name ?? 'no project'];
  return `${paint('bold', `task ${shortId(task)}`)} ${paint('dim', facts.map(harmless).join(' · '))}\n`;
}

function detachedText(taskId: TaskId): string {
  const id = shortId({ id: taskId });
  return `\nDetached; the task goes on.\n  longhaul watch ${id}    see how it goes\n  longhaul cancel ${id}   stop it\n`;
}

function leftText(taskId: TaskId): string {
  const id = shortId({ id: taskId });
  return `longhaul: the reader of the output is gone; task ${id} continues: longhaul watch ${id}`;
}

const MARKS = { completed: ['✓', 'green'], failed: ['✗', 'red'], cancelled: ['■', 'yellow'] } as const;

/** How it ended, in one line. */
export function endLine(task: TaskDescription, paint: Paint): string {
  if (!isFinal(task.state)) return `task ${shortId(task)} is ${task.state}`;
  const [mark, style] = MARKS[task.state];
  const tookMs = Date.parse(task.ended_at ?? '') - Date.parse(task.created_at ?? '');
  const head = [`${mark} ${task.state}`];
  if (task.error_code) head.push(task.error_code);
  if (!Number.isNaN(tookMs)) head.push(seconds(tookMs));
  head.push(changeText(task.change));
  return paint(style, head.join(' · '));
}

function endText(task: TaskDescription, paint: Paint): string {
  if (!isFinal(task.state)) return `${endLine(task, paint)}\n`;
  const lines = ['', endLine(task, paint)];
  // The summary of a completed task is the last paragraph of what was just shown.
  if (task.state !== 'completed' && task.output_summary) lines.push(`  ${harmless(task.output_summary)}`);
  if (task.change) lines.push(`  longhaul diff ${shortId(task)}`);
  else if (task.state === 'failed') lines.push(`  longhaul show ${shortId(task)}`);
  return `${lines.join('\n')}\n`;
}
