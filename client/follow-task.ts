/**
 * Follows one task from its first frame to its end. A task has no log until the step open session gives it a session,
 * and it may end without a session. So the follower reads the task's row, too.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FollowedFrame, FrameHub } from '../frames/follow.ts';
import type { Frame } from '../contract/frame.ts';
import { keptFrames } from '../frames/kept-frames.ts';
import type { SnapshotFrame } from '../frames/snapshot.ts';
import { isConnectionLoss, sqlCode, type Sql } from '../store/sql.ts';
import { taskProgress, type TaskProgress } from '../store/task-views.ts';
import type { TaskId } from '../contract/ids.ts';
import { isFinal } from '../contract/task.ts';
import { notFoundError, parseId } from './short-ids.ts';

/** The first pause between two reads of the row, while the task has no session. */
const FIRST_READ_PAUSE_MS = 40;
const MAX_READ_PAUSE_MS = 1_000;
/**
 * The interval at which the row is read. A frame announces the end of the task; the row shows the end if that frame is
 * missing.
 */
const ROW_POLL_MS = 2_000;

export type { FollowedFrame };

export interface FollowTask {
  readonly taskId: TaskId;
  /**
   * The number of the last frame of the session's log that the reader has. If absent, the reader gets the task's frames
   * from the first one.
   */
  readonly after?: number;
  readonly signal?: AbortSignal;
  /** Called after every read. `reached` says whether the database responded. */
  readonly onRead?: (reached: boolean) => void;
}

/**
 * Yields the frames of the task in order. If compaction removed frames that the reader lacks, it first yields a
 * snapshot of the session. Ends when the task has ended and all its frames were yielded, when its row is deleted, or
 * when `signal` is aborted. Fails with `task_not_found`, or with `invalid_input` for an invalid task id.
 */
export async function* followTask(
  deps: { readonly sql: Sql; readonly frames: FrameHub },
  { taskId: id, after, signal, onRead }: FollowTask,
): AsyncGenerator<FollowedFrame[], void, void> {
  const taskId = parseId('task', id);
  const opened = await untilOpened(deps.sql, taskId, { signal, onRead });
  if (!opened?.session_id) return;
  const end = new AbortController();
  const stop = signal ? AbortSignal.any([signal, end.signal]) : end.signal;
  const row = watchRow(deps.sql, taskId, stop);
  let position = after ?? (opened.first_seq ?? 1) - 1;
  row.onEnd((lastSeq) => position >= lastSeq && end.abort());
  try {
    const log = { sessionId: opened.session_id, after: position, signal: stop, ...(onRead && { onRead }) };
    for await (const page of deps.frames.follow(log)) {
      position = page.at(-1)?.seq ?? position;
      const frames = page.filter((frame) => frame.type === 'snapshot' || frame.task_id === taskId);
      if (frames.length > 0) yield frames;
      if (frames.some((frame) => frame.type === 'task_state' && isFinal(frame.state))) return;
      if (position >= row.lastSeq()) return;
    }
  } finally {
    end.abort();
    await row.done;
  }
}

/**
 * Returns the task's frames up to the snapshot that are not part of the snapshot's messages, the oldest first: for
 * example warnings, states and permission requests. Returns none while the database is unavailable.
 */
export async function framesOutsideMessages(
  sql: Sql,
  taskId: TaskId,
  snapshot: SnapshotFrame,
): Promise<readonly Frame[]> {
  try {
    return await keptFrames(sql, { sessionId: snapshot.session_id, taskId, upTo: snapshot.seq });
  } catch (error) {
    if (isConnectionLoss(error)) return [];
    throw error;
  }
}

/**
 * Waits until the task has a session with a log. Returns `undefined` if the task ended without a session or the signal
 * was aborted.
 */
async function untilOpened(
  sql: Sql,
  taskId: TaskId,
  { signal, onRead }: { signal: AbortSignal | undefined; onRead: FollowTask['onRead'] },
): Promise<TaskProgress | undefined> {
  const stopped = (): boolean => signal?.aborted === true;
  for (let waitMs = FIRST_READ_PAUSE_MS; !stopped(); waitMs = Math.min(waitMs * 1.2, MAX_READ_PAUSE_MS)) {
    const found = await look(sql, taskId);
    onRead?.(found !== 'unavailable');
    if (found === 'gone') throw notFoundError('task', taskId);
    if (found !== 'unavailable') {
      // If the task continues a session, the session's log exists before the task's own first frame. `first_seq` is the
      // number of that frame.
      if (found.session_id && found.first_seq !== null) return found;
      if (isFinal(found.state)) return found.session_id ? found : undefined;
    }
    await pause(waitMs, signal);
  }
  return undefined;
}

interface WatchedRow {
  /**
   * The number of the log's last frame at the time when the row was read as final. Infinity while the row is not final.
   */
  lastSeq(): number;
  onEnd(listener: (lastSeq: number) => void): void;
  readonly done: Promise<void>;
}

function watchRow(sql: Sql, taskId: TaskId, signal: AbortSignal): WatchedRow {
  let lastSeq = Number.POSITIVE_INFINITY;
  let tell: (lastSeq: number) => void = () => {};
  const watch = async (): Promise<void> => {
    const stopped = (): boolean => signal.aborted;
    while (!stopped()) {
      const found = await look(sql, taskId);
      if (found === 'gone' || (found !== 'unavailable' && isFinal(found.state))) {
        lastSeq = found === 'gone' ? 0 : found.session_seq;
        tell(lastSeq);
      }
      await pause(ROW_POLL_MS, signal);
    }
  };
  return {
    lastSeq: () => lastSeq,
    onEnd: (listener) => {
      tell = listener;
    },
    // A permanent failure of this query also fails the follower's own queries, and the follower reports it.
    done: watch().catch(() => undefined),
  };
}

async function look(sql: Sql, taskId: TaskId): Promise<TaskProgress | 'gone' | 'unavailable'> {
  try {
    return (await taskProgress(sql, taskId)) ?? 'gone';
  } catch (error) {
    if (isConnectionLoss(error) && sqlCode(error) !== 'CONNECTION_ENDED') return 'unavailable';
    throw error;
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}
