/** Maps an answer to one of the options that the agent offers. */
import type { PermissionOption } from './vocabulary.ts';

/** Where Longhaul keeps the rules of the answer "always". */
export const ALWAYS_SCOPES = ['session', 'project'] as const;
export type AlwaysScope = (typeof ALWAYS_SCOPES)[number];

const PREFIX = 'longhaul:always:';
/** The id of the option that Longhaul adds to those of the agent. */
export const alwaysOption = (scope: AlwaysScope): string => `${PREFIX}${scope}`;
export const isAlwaysOption = (optionId: string): boolean => optionId.startsWith(PREFIX);
/** Undefined: the option is the agent's. */
export const scopeOfOption = (optionId: string): AlwaysScope | undefined =>
  ALWAYS_SCOPES.find((scope) => optionId === alwaysOption(scope));

/** In order of preference. `always` is last because it affects later tasks: some agents store it in their home. */
const KINDS: Readonly<Record<string, readonly PermissionOption['kind'][]>> = {
  allow: ['allow_once', 'allow_always'],
  deny: ['reject_once', 'reject_always'],
  always: ['allow_always'],
};

/**
 * Returns the id of the option. `allow`, `deny` and `always` select by the option's kind; its id and position do not matter. Any
 * other answer is the id of an option. `undefined`: the agent does not offer such an option.
 */
export function chosenOption(options: readonly PermissionOption[], answer: string): string | undefined {
  const kinds = Object.hasOwn(KINDS, answer) ? (KINDS[answer] ?? []) : [];
  const [byKind] = kinds.flatMap((kind) => options.filter((option) => option.kind === kind));
  return (
    byKind?.option_id ?? options.find(({ option_id: optionId }) => kinds.length === 0 && optionId === answer)?.option_id
  );
}

/** The name of the chosen option; its id where the agent offered no such option. */
export function optionName(options: readonly PermissionOption[], chosen: string): string {
  return options.find(({ option_id: optionId }) => optionId === chosen)?.name ?? chosen;
}
