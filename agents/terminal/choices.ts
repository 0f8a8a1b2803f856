/** Converts the model, mode and thinking choices of a profile to ACP's config options. */
import { RequestError, type SessionConfigOption } from '@agentclientprotocol/sdk/unstable';
import { ANY_VALUE_FIELD } from '../acp/options.ts';
import type { Choice, TerminalProfile } from './profiles/profile.ts';
import type { StoredSession } from './session-store.ts';

/** The value that selects the agent's own default. */
const DEFAULT = 'default';

type ChoiceId = 'model' | 'mode' | 'thinking';

interface ConfigChoice {
  readonly id: ChoiceId;
  readonly name: string;
  readonly category: 'model' | 'mode' | 'thought_level';
  readonly choice: Choice;
}

function choicesOf(profile: TerminalProfile): ConfigChoice[] {
  const all = [
    { id: 'model', name: 'Model', category: 'model', choice: profile.models },
    { id: 'mode', name: 'Mode', category: 'mode', choice: profile.modes },
    { id: 'thinking', name: 'Thinking', category: 'thought_level', choice: profile.thinking },
  ] as const;
  return all.flatMap((one) => (one.choice ? [{ ...one, choice: one.choice }] : []));
}

/** Returns the config options of a session: model, mode and thinking, as far as the profile has them. */
export function optionsOf(profile: TerminalProfile, session: StoredSession): SessionConfigOption[] {
  return choicesOf(profile).map(({ id, name, category, choice }) => {
    const current = session[id] ?? choice.default ?? DEFAULT;
    const listed = choice.values.map(({ id: value, name: shown = value, description }) => ({
      value,
      name: shown,
      ...(description === undefined ? {} : { description }),
    }));
    const hasDefault = choice.default !== undefined || listed.some(({ value }) => value === DEFAULT);
    const values = hasDefault ? listed : [{ value: DEFAULT, name: 'Default' }, ...listed];
    const options = values.some(({ value }) => value === current)
      ? values
      : [...values, { value: current, name: current }];
    const meta = choice.any ? { _meta: { [ANY_VALUE_FIELD]: true } } : {};
    return { id, name, category, type: 'select', currentValue: current, options, ...meta };
  });
}

/**
 * Sets a choice in `session`, which the caller saves. Throws an ACP error for a value that the profile does not accept.
 */
export function choose(
  profile: TerminalProfile,
  session: StoredSession,
  { id, value }: { id: string; value: string },
): void {
  const found = choicesOf(profile).find((one) => one.id === id);
  const isListed = found?.choice.values.some((one) => one.id === value) === true;
  const isDefault = value === DEFAULT && !isListed;
  if (!found || !(isListed || isDefault || found.choice.any)) throw RequestError.invalidParams({ configId: id, value });
  if (isDefault) delete session[found.id];
  else session[found.id] = value;
}

/** Returns the value of a choice that is passed to the program, or `undefined` for the program's own default. */
export const programValue = (choice: Choice | undefined, value: string | undefined): string | undefined =>
  value ?? choice?.default;
