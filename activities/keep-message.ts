/**
 * Stores the message of an ended turn, in the turn's last transaction. At that time the log has all frames of the
 * message.
 */
import { foldSegments } from '../frames/read-message.ts';
import { finishMessage } from '../store/messages.ts';
import type { Tx } from '../store/sql.ts';
import type { MessageId, SessionId } from '../contract/ids.ts';
import type { TurnRecorder } from './recorder.ts';

export interface EndedMessage {
  readonly sessionId: SessionId;
  readonly messageId: MessageId;
  readonly status: 'complete' | 'failed';
  /** The recorder of the turn. Undefined if the turn failed before it had an agent. */
  readonly recorder: TurnRecorder | undefined;
  /** The tokens of this turn only. */
  readonly tokensUsed: number | undefined;
}

export async function keepMessage(
  tx: Tx,
  { sessionId, messageId, status, recorder, tokensUsed }: EndedMessage,
): Promise<void> {
  const view = recorder?.view;
  await finishMessage(tx, {
    id: messageId,
    status,
    content: view?.content ?? '',
    totalChars: view?.totalChars ?? 0,
    reasoning: view?.reasoning ?? '',
    toolCalls: [...(view?.toolCalls.values() ?? [])],
    plan: view?.plan,
    segments: await foldSegments(tx, { sessionId, messageId }),
    tokensUsed,
  });
}
