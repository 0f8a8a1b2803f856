/** Converts the updates of one agent to events, in order, and its permission requests to `PermissionAsk` objects. */
import { head } from '../../contract/cut-text.ts';
import { deferred } from '../../contract/promises.ts';
import type { AgentEvent, ElicitationAsk, ElicitationDecision, OpenAgent, PermissionAsk, PermissionOption, ToolCall } from '../driver.ts'; // prettier-ignore
import { codexReport } from './codex.ts';
import { worktreeFiles, type WorktreeFiles } from './files.ts';
import { isObject, type JsonObject } from './lines.ts';
import type { LinkHandlers } from './link.ts';
import { readSessionSettings, type SessionSettings } from './options.ts';
import { requestHash } from './request-hash.ts';
import { cleanText } from './text.ts';
import { ToolCallLedger } from './tool-calls.ts';
import { eventsOf, pairJoiners } from './updates.ts';

/**
 * `replaying` lasts from session/load or session/resume until the prompt; in this phase the agent repeats its history,
 * and no event is emitted. `over` begins after the last event of a turn; later updates are dropped, because they belong
 * to no message.
 */
export type ConversationPhase = 'starting' | 'replaying' | 'turn' | 'over';

const OPTION_KINDS = ['allow_once', 'allow_always', 'reject_once', 'reject_always'] as const;

/** Omits options of an unknown kind, because Longhaul could not say what they do. */
function readPermissionOptions(value: unknown): PermissionOption[] {
  const entries = Array.isArray(value) ? value.filter((entry) => isObject(entry)) : [];
  return entries.flatMap((entry) => {
    const kind = OPTION_KINDS.find((one) => one === entry['kind']);
    const { optionId, name } = entry;
    if (kind === undefined || typeof optionId !== 'string') return [];
    return [{ option_id: optionId, name: cleanText(typeof name === 'string' ? name : optionId), kind }];
  });
}

export class Conversation implements LinkHandlers {
  readonly files: WorktreeFiles;
  phase: ConversationPhase = 'starting';
  /** The id of the session, set as soon as it is known. Updates of other sessions (sub-agents) are ignored. */
  sessionId: string | undefined;
  /** Number of permission requests that wait for an answer. */
  pendingAsks = 0;
  /** Title of the last tool call in this turn that was not allowed. */
  refused: string | undefined;
  /**
   * The reason of a failure in the agent's words. Set only if the agent reports a failure but then ends the turn as a
   * success.
   */
  failure: string | undefined;
  settings: SessionSettings = readSessionSettings(undefined);

  readonly #options: OpenAgent;
  readonly #ledger = new ToolCallLedger();
  #speech = pairJoiners();
  readonly #ignored = new Map<string, number>();
  #emitted: Promise<void> = Promise.resolve();
  #retriesReported = false;

  constructor(options: OpenAgent) {
    this.#options = options;
    this.files = worktreeFiles(options.cwd);
  }

  started(): boolean {
    return this.phase === 'turn' || this.phase === 'over';
  }

  beginTurn(): void {
    this.phase = 'turn';
    this.refused = undefined;
    this.failure = undefined;
    this.#retriesReported = false;
    this.#speech = pairJoiners();
  }

  async update(params: JsonObject): Promise<void> {
    const update = params['update'];
    if (!isObject(update) || this.phase === 'over' || this.#isForeign(params)) return;
    const replayed = this.phase === 'replaying';
    if (!replayed) await this.#handleCodexNews(update);
    const events = eventsOf(update, { ledger: this.#ledger, settings: this, speech: this.#speech, replayed });
    if (events === undefined) {
      const kind = head(String(update['sessionUpdate']), 60);
      this.#ignored.set(kind, (this.#ignored.get(kind) ?? 0) + 1);
      return;
    }
    for (const event of events) {
      if (replayed && event.kind !== 'commands') continue;
      // Text before the prompt is no answer: gemini, for example, reports in such a text that it has set the requested
      // mode.
      if (this.phase === 'starting' && (event.kind === 'text' || event.kind === 'reasoning')) continue;
      if (event.kind === 'text' && this.failure !== undefined) this.failure += event.text;
      await this.#emit(event);
    }
  }

  async #handleCodexNews(update: JsonObject): Promise<void> {
    const news = codexReport(update);
    if (news?.kind === 'failed') this.failure = '';
    if (news?.kind === 'works') this.failure = undefined;
    if (news?.kind !== 'retries' || this.#retriesReported) return;
    this.#retriesReported = true;
    await this.#emit({ kind: 'warning', message: `${this.#options.launch.name} retries: ${news.message}` });
  }

  /** Emits the tool call of a permission request before the request, because some agents send the call nowhere else. */
  async announce(params: JsonObject): Promise<void> {
    if (this.phase === 'turn' && isObject(params['toolCall'])) {
      await this.update({ update: { ...params['toolCall'], sessionUpdate: 'tool_call_update' } });
    }
  }

  async permission(params: JsonObject): Promise<string | undefined> {
    const toolCall = this.#ledger.find(params['toolCall']);
    const options = readPermissionOptions(params['options']);
    const asked = isObject(params['toolCall']) ? params['toolCall'] : {};
    const ask: PermissionAsk = {
      toolCall,
      options,
      hash: requestHash(toolCall, asked, options),
      isCut: this.#ledger.isCut(toolCall),
    };
    const decision = await this.#unlessStopped(() => this.#options.onPermission(ask));
    if (decision === 'stopped') return undefined;
    const chosen =
      decision.kind === 'selected' ? ask.options.find((one) => one.option_id === decision.optionId) : undefined;
    if (chosen === undefined || chosen.kind.startsWith('reject')) this.refused = toolCall.title;
    return chosen?.option_id;
  }

  /** Answers an elicitation. Outside a turn the elicitation is cancelled, because it would belong to no message. */
  async elicit(params: JsonObject, asked: Pick<ElicitationAsk, 'elicitation' | 'hash'>): Promise<ElicitationDecision> {
    const options = this.#options;
    if (this.phase !== 'turn' || this.#isForeign(params) || !options.onElicitation) return { action: 'cancel' };
    const { toolCallId } = params;
    const toolCall = typeof toolCallId === 'string' ? this.#ledger.find({ toolCallId }) : undefined;
    const cancel = { action: 'cancel' } as const;
    const decision = await this.#unlessStopped(
      async () => (await options.onElicitation?.({ ...asked, toolCall })) ?? cancel,
    );
    return decision === 'stopped' ? cancel : decision;
  }

  async #unlessStopped<T>(answer: () => Promise<T>): Promise<T | 'stopped'> {
    const { signal } = this.#options;
    if (signal.aborted) return 'stopped';
    this.pendingAsks += 1;
    // When the turn is stopped, open requests are answered with `cancelled`, as ACP requires. The answers are sent
    // after session/cancel, because otherwise the agent would treat them as refusals and continue.
    const stopped = deferred<'stopped'>();
    const answerStopped = (): void => void setImmediate(() => stopped.resolve('stopped'));
    signal.addEventListener('abort', answerStopped);
    try {
      const decision = await Promise.race([answer(), stopped.promise]);
      return signal.aborted ? await stopped.promise : decision; // the handler may return because of the stop; the answer must still follow session/cancel
    } finally {
      signal.removeEventListener('abort', answerStopped);
      this.pendingAsks -= 1;
    }
  }

  /** Returns the newest tool call that has not ended. */
  openCall(): ToolCall | undefined {
    return this.#ledger.openCall();
  }

  /** Closes open tool calls as failed, and emits a note about the updates that were ignored. */
  async endTurn(): Promise<void> {
    this.phase = 'over';
    for (const call of this.#ledger.closeOpen()) await this.#emit({ kind: 'tool_call', call });
    if (this.#ignored.size === 0) return;
    const kinds = [...this.#ignored].map(([kind, count]) => `${cleanText(kind)} × ${count}`).join(', ');
    this.#ignored.clear();
    await this.#emit({ kind: 'note', text: head(`Updates of kinds that Longhaul does not know: ${kinds}`, 1_000) });
  }

  #isForeign(params: JsonObject): boolean {
    const id = params['sessionId'];
    return this.sessionId !== undefined && typeof id === 'string' && id !== this.sessionId;
  }

  /** Emits one event at a time, in order, because the reader and the end of the turn both emit. */
  #emit(event: AgentEvent): Promise<void> {
    const next = this.#emitted.then(() => this.#options.onEvent(event));
    this.#emitted = next.catch(() => {});
    return next;
  }
}
