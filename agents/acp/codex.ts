/**
 * What codex says beside the protocol, in `_meta.codex` of its session updates. Where its provider refuses a
 * request, codex ends the turn as `end_turn` with the error as its last text: only the thread's status tells
 * that from an answer. (Measured with codex-acp 2.6.0.)
 */
import { head } from '../../contract/cut-text.ts';
import { isObject, type JsonObject } from './lines.ts';
import { cleanText } from './text.ts';

const WORDS_LIMIT = 600;

export type CodexNews =
  /** What it says from here to the turn's end is why it failed. */
  { readonly kind: 'failed' } | { readonly kind: 'works' } | { readonly kind: 'retries'; readonly message: string };

const object = (value: unknown): JsonObject => (isObject(value) ? value : {});

export function codexNews(update: JsonObject): CodexNews | undefined {
  const meta = object(object(update['_meta'])['codex']);
  const status = object(meta['threadStatus'])['type'];
  if (status === 'systemError') return { kind: 'failed' };
  if (status === 'active') return { kind: 'works' };
  const error = object(meta['error']);
  if (error['willRetry'] !== true) return undefined;
  const words = [error['additionalDetails'], error['message']].find((one) => typeof one === 'string' && one !== '');
  return { kind: 'retries', message: head(cleanText(String(words)), WORDS_LIMIT) };
}
