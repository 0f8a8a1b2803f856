/** Which of an agent's offered options an answer means. */
import type { PermissionOption } from './vocabulary.ts';

/** In order of preference. `always` reaches further than one task: some agents write it into their home. */
const KINDS: Readonly<Record<string, readonly PermissionOption['kind'][]>> = {
  allow: ['allow_once', 'allow_always'],
  deny: ['reject_once', 'reject_always'],
};

/**
 * The id of the option: for `allow` and `deny` the first one of a kind that does so, whatever its id or position; else the
 * option with that id. `undefined`: the agent does not offer it.
 */
export function chosenOption(options: readonly PermissionOption[], answer: string): string | undefined {
  const kinds = Object.hasOwn(KINDS, answer) ? (KINDS[answer] ?? []) : [];
  const [byKind] = kinds.flatMap((kind) => options.filter((option) => option.kind === kind));
  return (
    byKind?.option_id ?? options.find(({ option_id: optionId }) => kinds.length === 0 && optionId === answer)?.option_id
  );
}
