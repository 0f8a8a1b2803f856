/**
 * Submits a task under an idempotency key of the caller. However often the caller sends the request, and to which
 * backend, one task is created.
 */
import { createHash } from 'node:crypto';
import { findKey, type IdempotencyKey, storeResponse, takeKey } from '../store/idempotency-keys.ts';
import { LonghaulError } from '../contract/errors.ts';
import { checkSubmission, deliverInterrupt, insertSubmission, type Submission, type SubmitDeps } from './submit.ts';
import { describe, type ReadDeps, type TaskDescription } from './tasks.ts';

export interface SubmittedOnce {
  /** The task as the first response described it. */
  readonly task: TaskDescription;
  readonly replayed: boolean;
}

/**
 * Submits a task once for each idempotency key. Fails with `idempotency_conflict` if an earlier request had the same
 * key and other values. `request` has the values that the caller sent, if the submission contains further values.
 */
export async function submitOnce(
  deps: SubmitDeps & ReadDeps & Pick<SubmitDeps, 'sql'>,
  submission: Submission,
  key: string,
  request: object = submission,
): Promise<SubmittedOnce> {
  const once = { key, fingerprint: fingerprintOf(request) };
  const known = await replay(deps, once);
  if (known) return known;
  const checked = await checkSubmission(deps, submission);
  const made = await deps.sql.begin(async (tx) => {
    if (!(await takeKey(tx, once, checked.taskId))) return undefined;
    const interrupted = await insertSubmission(tx, checked);
    const task = await describe({ ...deps, sql: tx }, checked.taskId);
    await storeResponse(tx, key, JSON.stringify(task));
    return { task, interrupted };
  });
  if (made) {
    await deliverInterrupt(deps, made.interrupted);
    return { task: made.task, replayed: false };
  }
  const other = await replay(deps, once);
  if (other) return other;
  throw new LonghaulError(
    'service_unreachable',
    `The Idempotency-Key ${key} was used and has expired meanwhile: send the request again.`,
  );
}

async function replay(
  { sql }: Pick<SubmitDeps, 'sql'>,
  { key, fingerprint }: IdempotencyKey,
): Promise<SubmittedOnce | undefined> {
  const known = await findKey(sql, key);
  if (!known) return undefined;
  if (known.fingerprint !== fingerprint) {
    throw new LonghaulError(
      'idempotency_conflict',
      `The Idempotency-Key ${JSON.stringify(key)} was used for another request, which made task ${known.task_id}: take a new key for a new task.`,
    );
  }
  return { task: known.answer as TaskDescription, replayed: true };
}

/** Returns the same fingerprint for equal requests, in whichever order their fields were given. */
function fingerprintOf(request: object): string {
  const parts = Object.entries(request).filter(([, value]) => value !== undefined);
  parts.sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
