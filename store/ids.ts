/**
 * Derives the ids of the rows that a step inserts. The same task and role always give the same id, so a step that runs
 * twice inserts one row.
 */
import { createHash } from 'node:crypto';
import type { ChangeId, ChatId, MessageId, SessionId, TaskId } from '../contract/ids.ts';

/** Computes a UUID of version 5 (RFC 9562): the SHA-1 of the namespace's bytes and the name. */
function uuidv5(namespace: string, name: string): string {
  const bytes = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name)
    .digest()
    .subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The rows that a task's steps insert, by their role for the task. */
interface Made {
  readonly session: SessionId;
  readonly chat: ChatId;
  readonly 'user-message': MessageId;
  readonly 'assistant-message': MessageId;
  readonly change: ChangeId;
}

/**
 * Returns the id of the row that has this role for the task. The id is derived from the task's id and the role, so it
 * is always the same.
 */
export function idOf<Role extends keyof Made>(taskId: TaskId, role: Role): Made[Role] {
  return uuidv5(taskId, role) as Made[Role];
}
