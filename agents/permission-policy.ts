/** Answers permission requests without a person. Chooses by kind, because ids and positions differ from agent to agent. */
import { chosenOption } from '../contract/permission-answer.ts';
import type { PermissionAsk, PermissionDecision } from './driver.ts';

/** `ask`: a person answers. */
export type PermissionPolicy = 'allow' | 'deny' | 'ask';

/** Cancelled if the agent offers no option of that kind. */
export function decide(policy: Exclude<PermissionPolicy, 'ask'>, ask: PermissionAsk): PermissionDecision {
  const optionId = chosenOption(ask.options, policy);
  return optionId === undefined ? { kind: 'cancelled' } : { kind: 'selected', optionId };
}

interface Chosen {
  readonly permission_policy: PermissionPolicy;
  readonly mode_id: string | null;
}

/** The policy `allow` does not allow a request to leave the mode that the task chose: the mode stays. */
export function policyFor(
  { permission_policy: policy, mode_id: mode }: Chosen,
  { toolCall }: PermissionAsk,
): PermissionPolicy {
  return policy === 'allow' && toolCall.kind === 'switch_mode' && mode ? 'deny' : policy;
}
