/**
 * Reads the reports that codex sends outside the protocol, in `_meta.codex` of its session updates. If codex's provider
 * refuses a request, codex ends the turn as `end_turn` with the error as its last text. Only the status of codex's
 * thread, in these reports, distinguishes this text from an answer. (Measured with codex-acp 2.6.0.)
 */
import { head } from '../../contract/cut-text.ts';
import { isObject, type JsonObject } from './lines.ts';
import { cleanText } from './text.ts';

const WORDS_LIMIT = 600;

export type CodexReport =
  /** The text from this update to the end of the turn is the reason of the failure. */
  { readonly kind: 'failed' } | { readonly kind: 'works' } | { readonly kind: 'retries'; readonly message: string };

const object = (value: unknown): JsonObject => (isObject(value) ? value : {});

/** Returns the report in a session update, or `undefined` if the update contains none. */
export function codexReport(update: JsonObject): CodexReport | undefined {
  const meta = object(object(update['_meta'])['codex']);
  const status = object(meta['threadStatus'])['type'];
  if (status === 'systemError') return { kind: 'failed' };
  if (status === 'active') return { kind: 'works' };
  const error = object(meta['error']);
  if (error['willRetry'] !== true) return undefined;
  const words = [error['additionalDetails'], error['message']].find((one) => typeof one === 'string' && one !== '');
  return { kind: 'retries', message: head(cleanText(String(words)), WORDS_LIMIT) };
}
