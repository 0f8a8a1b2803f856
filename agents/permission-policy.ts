/**
 * Answers permission requests without a person. The answer is an option of the needed kind, because the ids and the
 * positions of options differ between agents.
 */
import { chosenOption } from '../contract/permission-answer.ts';
import type { PermissionAsk, PermissionDecision } from './driver.ts';

/** With `ask`, a person answers each request. */
export type PermissionPolicy = 'allow' | 'deny' | 'ask';

/** Returns the option that the policy selects, or `cancelled` if the agent offers no option of the needed kind. */
export function decideByPolicy(policy: Exclude<PermissionPolicy, 'ask'>, ask: PermissionAsk): PermissionDecision {
  const optionId = chosenOption(ask.options, policy);
  return optionId === undefined ? { kind: 'cancelled' } : { kind: 'selected', optionId };
}

interface Chosen {
  readonly permission_policy: PermissionPolicy;
  readonly mode_id: string | null;
}

/**
 * Returns the policy for one request. `allow` does not apply to a request to leave the mode that the task chose: such a
 * request is denied, and the mode stays.
 */
export function policyFor(
  { permission_policy: policy, mode_id: mode }: Chosen,
  { toolCall }: PermissionAsk,
): PermissionPolicy {
  return policy === 'allow' && toolCall.kind === 'switch_mode' && mode ? 'deny' : policy;
}
