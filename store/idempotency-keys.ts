/**
 * Stores idempotency keys: requests with the same key create one task, however often they are sent. A key is valid for
 * a day.
 */
import type { TaskId } from '../contract/ids.ts';
import type { Db, Tx } from './sql.ts';

const GOOD_FOR = '24 hours';
/** The number of expired keys that each new key removes. It is more than one, so that the table stays small. */
const CLEANED_AT_ONCE = 20;

export interface IdempotencyKey {
  readonly key: string;
  /** The fingerprint of the request. A request with the same key and another fingerprint is refused. */
  readonly fingerprint: string;
}

export interface KnownKey {
  readonly fingerprint: string;
  readonly task_id: TaskId;
  readonly answer: unknown;
}

export async function findKey(db: Db, key: string): Promise<KnownKey | undefined> {
  const [row] = await db<KnownKey[]>`
    SELECT fingerprint, task_id, answer FROM idempotency_keys
     WHERE key = ${key} AND created_at > clock_timestamp() - ${GOOD_FOR}::interval`;
  return row;
}

/**
 * Inserts the key. Returns false if another request has the key. Waits for a transaction that is inserting the same
 * key.
 */
export async function takeKey(tx: Tx, { key, fingerprint }: IdempotencyKey, taskId: TaskId): Promise<boolean> {
  await tx`
    DELETE FROM idempotency_keys WHERE key IN (
      SELECT key FROM idempotency_keys WHERE created_at < clock_timestamp() - ${GOOD_FOR}::interval AND key <> ${key}
       LIMIT ${CLEANED_AT_ONCE} FOR UPDATE SKIP LOCKED)`;
  const rows = await tx`
    INSERT INTO idempotency_keys AS k (key, fingerprint, task_id) VALUES (${key}, ${fingerprint}, ${taskId})
    ON CONFLICT (key) DO UPDATE
      SET fingerprint = EXCLUDED.fingerprint, task_id = EXCLUDED.task_id, answer = NULL, created_at = clock_timestamp()
     WHERE k.created_at < clock_timestamp() - ${GOOD_FOR}::interval
    RETURNING key`;
  return rows.length > 0;
}

export async function storeResponse(tx: Tx, key: string, answer: string): Promise<void> {
  await tx`UPDATE idempotency_keys SET answer = ${answer}::text::json WHERE key = ${key}`;
}
