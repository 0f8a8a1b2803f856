/**
 * Collects the events of a task with their times, from the task's row, its first attempt, its frames and Temporal's
 * history.
 */
import { z } from 'zod';
import type { Stage } from './stage.ts';
import type { TaskId } from '../contract/ids.ts';
import { taskWorkflowId } from '../contract/names.ts';

/** One event of a task. `atMs` is its time since the creation of the task's row. */
export interface Mark {
  readonly name: string;
  readonly atMs: number;
}

interface HistoryEvent {
  readonly name: string;
  readonly atMs: number;
}

interface Time {
  readonly seconds?: unknown;
  readonly nanos?: number | null | undefined;
}

const epochMs = (time: Time | null | undefined): number =>
  Number(time?.seconds ?? 0) * 1_000 + (time?.nanos ?? 0) / 1e6;

export const historyOf = async ({ temporal }: Stage, taskId: TaskId) =>
  (await temporal.client.workflow.getHandle(taskWorkflowId(taskId)).fetchHistory()).events ?? [];

const time = z.looseObject({ seconds: z.union([z.number(), z.string()]).optional(), nanos: z.number().optional() });
const localMarker = z.looseObject({ activity_type: z.string(), original_schedule_time: time.nullish() });

/**
 * Returns the start of a local activity from its marker in the history, or nothing for markers of other features, such
 * as patches. The marker's `complete_time` is no clock time: it counts from the start of the workflow task.
 */
function localStep(data: Uint8Array): HistoryEvent[] {
  const marker = localMarker.safeParse(JSON.parse(Buffer.from(data).toString('utf8')));
  const begun = marker.data?.original_schedule_time;
  return marker.success && begun ? [{ name: `${marker.data.activity_type} begun`, atMs: epochMs(begun) }] : [];
}

/** Returns the history events of the steps, each under the step's name, without events inside the workflow. */
async function stepEvents(stage: Stage, taskId: TaskId): Promise<HistoryEvent[]> {
  const steps = new Map<string, string>();
  return (await historyOf(stage, taskId)).flatMap((event) => {
    const atMs = epochMs(event.eventTime);
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) {
      const step = scheduled.activityType?.name ?? 'unknown';
      steps.set(String(event.eventId), step);
      return [{ name: `${step} scheduled`, atMs }];
    }
    const started = event.activityTaskStartedEventAttributes;
    if (started) return [{ name: `${steps.get(String(started.scheduledEventId))} started`, atMs }];
    const completed = event.activityTaskCompletedEventAttributes;
    if (completed) return [{ name: `${steps.get(String(completed.scheduledEventId))} completed`, atMs }];
    const local = event.markerRecordedEventAttributes?.details?.['data']?.payloads?.[0]?.data;
    if (local) return localStep(local);
    if (event.workflowExecutionStartedEventAttributes) return [{ name: 'run started', atMs }];
    if (event.workflowExecutionCompletedEventAttributes) return [{ name: 'run completed', atMs }];
    return [];
  });
}

/** Returns the task's events, from the times in its rows (`tasks`, `attempts`, `frames`). */
async function storedEvents({ sql }: Stage, taskId: TaskId): Promise<(HistoryEvent & { created: number })[]> {
  return sql<(HistoryEvent & { created: number })[]>`
    SELECT name, extract(epoch FROM at)::float8 * 1000 AS "atMs", extract(epoch FROM created_at)::float8 * 1000 AS created
      FROM tasks t CROSS JOIN LATERAL (
        SELECT 'row claimed' AS name, t.claimed_at AS at
        UNION ALL SELECT 'turn taken', started_at FROM attempts WHERE task_id = t.id AND attempt = 1
        UNION ALL SELECT 'agent spawned', spawned_at FROM attempts WHERE task_id = t.id AND attempt = 1
        UNION ALL (SELECT 'first words', at FROM frames
                    WHERE session_id = t.session_id AND type = 'delta' ORDER BY seq LIMIT 1)
        UNION ALL (SELECT 'message complete', at FROM frames
                    WHERE session_id = t.session_id AND type = 'message_complete' ORDER BY seq DESC LIMIT 1)
        UNION ALL SELECT 'row final', t.ended_at
      ) moment
     WHERE t.id = ${taskId} AND at IS NOT NULL`;
}

/** Returns all events of the task in the order in which they happened. */
export async function timeline(stage: Stage, taskId: TaskId): Promise<Mark[]> {
  const stored = await storedEvents(stage, taskId);
  const created = stored[0]?.created;
  if (created === undefined) throw new Error(`task ${taskId} has no row`);
  const events = [...stored, ...(await stepEvents(stage, taskId))];
  return events.map(({ name, atMs }) => ({ name, atMs: atMs - created })).toSorted((a, b) => a.atMs - b.atMs);
}
