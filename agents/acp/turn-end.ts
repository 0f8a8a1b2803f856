/** What a prompt's result means. Only `end_turn` is success. */
import { head } from '../../contract/cut-text.ts';
import type { TurnEnd } from '../driver.ts';
import { type NamedAgent, providerFailure } from './failures.ts';
import { isObject } from './lines.ts';
import { cleanText } from './text.ts';
import { quotaUsage, turnUsage } from './updates.ts';

const AFTER_REFUSAL = 'Its last words may say why; word the task in another way, or give it to another agent.';
const AFTER_LIMIT = 'What it had written until then is kept; a further task in the same session can go on from it.';

export interface TurnFacts {
  readonly agent: NamedAgent;
  /** Why it failed, in the agent's words, though it ends as if it had not. */
  readonly failure: string | undefined;
  /** Title of the tool call that was last not allowed in this turn. */
  readonly refused: string | undefined;
}

/**
 * Some agents (codex) end the turn as `cancelled` when a permission is not given. The person did not stop the
 * task but forbade a step of it, and the agent gave up: the task has failed, what was written is kept, and
 * the message says which answer led to it.
 */
function cancelledEnd({ agent, refused }: TurnFacts): TurnEnd {
  const message =
    refused === undefined
      ? `${agent.name} cancelled its turn by itself, without being asked to. What it had written until then is kept.`
      : `${agent.name} gave up its turn because "${refused}" was not allowed. What it had written until then is kept.`;
  return { kind: 'failed', code: 'agent_refused', message };
}

/** The end of a turn that nobody stopped. */
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
        message: `${name} ran into its limit of tokens in one turn. ${AFTER_LIMIT}`,
      };
    case 'max_turn_requests':
      return {
        kind: 'failed',
        code: 'turn_limit',
        message: `${name} ran into its limit of model requests in one turn. ${AFTER_LIMIT}`,
      };
    case 'cancelled':
      return cancelledEnd(facts);
    default: {
      const found = JSON.stringify(stopReason) ?? 'none';
      const message = `${name} ended its turn with a stop reason that ACP does not have: ${head(cleanText(found), 200)}. That is a fault of the agent, or it is newer than this Longhaul.`;
      return { kind: 'failed', code: 'agent_protocol_error', message };
    }
  }
}
