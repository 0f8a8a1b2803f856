/** Interprets the result of a prompt. Only the stop reason `end_turn` is a success. */
import { head } from '../../contract/cut-text.ts';
import type { TurnEnd } from '../driver.ts';
import { type NamedAgent, providerFailure } from './failures.ts';
import { isObject } from './lines.ts';
import { cleanText } from './text.ts';
import { quotaUsage, turnUsage } from './updates.ts';

const AFTER_REFUSAL = 'Its last text may give the reason. Rephrase the task, or name another agent.';
const AFTER_LIMIT = 'Its edits until then are kept; a further task in the same session can continue from it.';

export interface TurnFacts {
  readonly agent: NamedAgent;
  /** The reason of a failure in the agent's words, for a turn that the agent ended as a success. */
  readonly failure: string | undefined;
  /** Title of the last tool call in this turn that was not allowed. */
  readonly refused: string | undefined;
}

/**
 * Some agents (codex) end the turn as `cancelled` when a permission is not given. The task has then failed: the person
 * did not stop the task, but refused one of its tool calls, and the agent ended the turn. The written files are kept,
 * and the message names the answer that led to the end.
 */
function cancelledEnd({ agent, refused }: TurnFacts): TurnEnd {
  const message =
    refused === undefined
      ? `${agent.name} cancelled its turn without a request to do so. Its edits until then are kept.`
      : `${agent.name} ended its turn because "${refused}" was not allowed. Its edits until then are kept.`;
  return { kind: 'failed', code: 'agent_refused', message };
}

/** Returns the end of a turn that was not stopped. */
export function turnEnd(result: unknown, facts: TurnFacts): TurnEnd {
  const { name } = facts.agent;
  const body = isObject(result) ? result : {};
  const stopReason = body['stopReason'];
  const usage = turnUsage(body['usage']) ?? quotaUsage(body['_meta']);
  switch (stopReason) {
    case 'end_turn':
      if (facts.failure !== undefined) return { kind: 'failed', ...providerFailure(facts.agent, facts.failure) };
      return { kind: 'completed', ...(usage === undefined ? {} : { usage }) };
    case 'refusal':
      return { kind: 'failed', code: 'agent_refused', message: `${name} refused to do this. ${AFTER_REFUSAL}` };
    case 'max_tokens':
      return {
        kind: 'failed',
        code: 'turn_limit',
        message: `${name} reached its limit of tokens for one turn. ${AFTER_LIMIT}`,
      };
    case 'max_turn_requests':
      return {
        kind: 'failed',
        code: 'turn_limit',
        message: `${name} reached its limit of model requests for one turn. ${AFTER_LIMIT}`,
      };
    case 'cancelled':
      return cancelledEnd(facts);
    default: {
      const found = JSON.stringify(stopReason) ?? 'none';
      const message = `${name} ended its turn: expected a stop reason of ACP, found ${head(cleanText(found), 200)}. The agent has a fault, or it is newer than this Longhaul.`;
      return { kind: 'failed', code: 'agent_protocol_error', message };
    }
  }
}
