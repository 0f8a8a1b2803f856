/** Applies the settings of an agent, which the launch carries, to a profile of the terminal adapter. */
import type { TerminalLaunch } from '../launch.ts';
import { isKnownTerminal } from './known.ts';
import type { TerminalProfile, TurnArguments } from './profile.ts';

const PLACEHOLDER = /\{(prompt|model|mode|thinking)\}/g;

/**
 * The arguments of the settings precede those of a profile that the adapter knows. For any other program they are the
 * whole command line: `{prompt}`, `{model}`, `{mode}` and `{thinking}` are replaced, an argument whose value the task
 * does not choose is left out, and the prompt is the last argument if no argument contains `{prompt}`.
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
