/** Answers to permission requests without a person. Chosen by kind: ids and positions differ from agent to agent. */
import type { PermissionAsk, PermissionDecision, PermissionOption } from './driver.ts';

/** `ask`: a person answers. */
export type PermissionPolicy = 'allow' | 'deny' | 'ask';

/** In order of preference. `always` reaches further than one task: some agents write it into their home. */
const KINDS: Readonly<Record<Exclude<PermissionPolicy, 'ask'>, readonly PermissionOption['kind'][]>> = {
  allow: ['allow_once', 'allow_always'],
  deny: ['reject_once', 'reject_always'],
};

/** Cancelled if the agent offers no option of the wanted kinds. */
export function decide(policy: Exclude<PermissionPolicy, 'ask'>, ask: PermissionAsk): PermissionDecision {
  for (const kind of KINDS[policy]) {
    const option = ask.options.find((one) => one.kind === kind);
    if (option !== undefined) return { kind: 'selected', optionId: option.option_id };
  }
  return { kind: 'cancelled' };
}

interface Chosen {
  readonly permission_policy: PermissionPolicy;
  readonly mode_id: string | null;
}

/** A request to leave the mode that the task chose is not one that the policy `allow` answers: the mode stays. */
export function policyFor(
  { permission_policy: policy, mode_id: mode }: Chosen,
  { toolCall }: PermissionAsk,
): PermissionPolicy {
  return policy === 'allow' && toolCall.kind === 'switch_mode' && mode ? 'deny' : policy;
}
