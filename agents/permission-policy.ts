/** Answers to permission requests without a person. Chosen by kind: ids and positions differ from agent to agent. */
import type { PermissionAsk, PermissionDecision, PermissionOption } from './driver.ts';

export type PermissionPolicy = 'allow' | 'deny';

/** In order of preference. `always` reaches further than one task: some agents write it into their home. */
const KINDS: Readonly<Record<PermissionPolicy, readonly PermissionOption['kind'][]>> = {
  allow: ['allow_once', 'allow_always'],
  deny: ['reject_once', 'reject_always'],
};

/** Cancelled if the agent offers no option of the wanted kinds. */
export function decide(policy: PermissionPolicy, ask: PermissionAsk): PermissionDecision {
  for (const kind of KINDS[policy]) {
    const option = ask.options.find((one) => one.kind === kind);
    if (option !== undefined) return { kind: 'selected', optionId: option.option_id };
  }
  return { kind: 'cancelled' };
}
