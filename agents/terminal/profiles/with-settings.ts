/** Applies the agent's settings, which are part of the launch, to a profile of the terminal adapter. */
import type { TerminalLaunch } from '../launch.ts';
import { isKnownTerminal } from './known.ts';
import type { TerminalProfile, TurnArguments } from './profile.ts';

const PLACEHOLDER = /\{(prompt|model|mode|thinking)\}/g;

/**
 * Returns the profile with the settings applied. For a program that the adapter knows, the arguments of the settings
 * precede those of the profile. For any other program they are the whole command line: `{prompt}`, `{model}`, `{mode}`
 * and `{thinking}` are replaced, an argument whose value the task does not choose is omitted, and the prompt becomes
 * the last argument if no argument contains `{prompt}`.
 */
export function withSettings(profile: TerminalProfile, { args = [], models }: TerminalLaunch): TerminalProfile {
  const offered = models && {
    models: { values: models.map(({ id, label: name }) => ({ id, name })), any: profile.models?.any ?? false },
  };
  if (args.length === 0) return { ...profile, ...offered };
  if (isKnownTerminal(profile.name)) {
    return { ...profile, ...offered, arguments: (turn) => [...args, ...profile.arguments(turn)] };
  }
  const hasPrompt = args.some((arg) => arg.includes('{prompt}'));
  return {
    ...profile,
    ...offered,
    arguments: (turn) => [...args.flatMap((arg) => filled(arg, turn)), ...(hasPrompt ? [] : profile.arguments(turn))],
  };
}

function filled(arg: string, turn: TurnArguments): string[] {
  const names = [...arg.matchAll(PLACEHOLDER)].map(([, name]) => name as 'prompt' | 'model' | 'mode' | 'thinking');
  if (names.some((name) => turn[name] === undefined)) return [];
  return [arg.replaceAll(PLACEHOLDER, (_, name: 'prompt' | 'model' | 'mode' | 'thinking') => turn[name] ?? '')];
}
