/** Maps an answer to one of the options that the agent offers. */
import type { PermissionOption } from './vocabulary.ts';

/** The scopes in which Longhaul can store the rules of the answer "always". */
export const ALWAYS_SCOPES = ['session', 'project'] as const;
export type AlwaysScope = (typeof ALWAYS_SCOPES)[number];

const PREFIX = 'longhaul:always:';
/** The id of the option "always" that Longhaul adds to the agent's options. */
export const alwaysOption = (scope: AlwaysScope): string => `${PREFIX}${scope}`;
/** True only for an option that Longhaul added, not for an agent's own `allow_always`. */
export const isAlwaysOption = (optionId: string): boolean => optionId.startsWith(PREFIX);
/** Returns the scope of an option that Longhaul added. Undefined: the option is the agent's. */
export const scopeOfOption = (optionId: string): AlwaysScope | undefined =>
  ALWAYS_SCOPES.find((scope) => optionId === alwaysOption(scope));

/**
 * The kinds of option that each answer selects, in order of preference. `allow_always` and `reject_always` are last,
 * because they affect later tasks: some agents store them in their home.
 */
const KINDS: Readonly<Record<string, readonly PermissionOption['kind'][]>> = {
  allow: ['allow_once', 'allow_always'],
  deny: ['reject_once', 'reject_always'],
  always: ['allow_always'],
};

/**
 * Returns the id of the option that the answer selects. `allow`, `deny` and `always` select by the option's kind,
 * whatever its id and position. Any other answer must be the id of an option. `undefined`: the agent does not offer
 * such an option.
 */
export function chosenOption(options: readonly PermissionOption[], answer: string): string | undefined {
  const kinds = Object.hasOwn(KINDS, answer) ? (KINDS[answer] ?? []) : [];
  const [byKind] = kinds.flatMap((kind) => options.filter((option) => option.kind === kind));
  return (
    byKind?.option_id ?? options.find(({ option_id: optionId }) => kinds.length === 0 && optionId === answer)?.option_id
  );
}

/** Returns the name of the chosen option, or its id if the agent offered no such option. */
export function optionName(options: readonly PermissionOption[], chosen: string): string {
  return options.find(({ option_id: optionId }) => optionId === chosen)?.name ?? chosen;
}
