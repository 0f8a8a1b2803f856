/**
 * The launcher of the path `native`: our own agent over a model API. The native agent does the tasks that name no
 * agent, or an agent that is not listed.
 */
import { loaderArguments, ownModulePath } from '../../processes/own-module.ts';
import { NATIVE_AGENT } from '../../contract/names.ts';
import type { AgentLaunch, Launcher } from './launch.ts';

const MAIN = ownModulePath('agents/native/main');

/** The variables that the providers' own tools read. */
const PROVIDER_KEYS = [
  'DEFAULT_MODEL',
  'OPENAI_API_KEY',
  'OPENAI_BASE_URL',
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_BASE_URL',
  'GEMINI_API_KEY',
  'GOOGLE_API_KEY',
  'GOOGLE_GENERATIVE_AI_API_KEY',
  'GOOGLE_GEMINI_BASE_URL',
];

/** No agent gets variables named LONGHAUL_*, so the launcher passes these variables under another name. */
const RENAMED = {
  LONGHAUL_LOCAL_MODEL_URL: 'NATIVE_LOCAL_MODEL_URL',
  LONGHAUL_LOCAL_MODEL_KEY: 'NATIVE_LOCAL_MODEL_KEY',
} as const;

/** The variables that decide whether the native agent has a model. */
export const NATIVE_VARIABLES: readonly string[] = [...PROVIDER_KEYS, ...Object.keys(RENAMED)];

const LOGIN_HINT =
  'Set DEFAULT_MODEL=local/MODEL and LONGHAUL_LOCAL_MODEL_URL=http://127.0.0.1:8080/v1, or DEFAULT_MODEL=anthropic/MODEL and ' +
  'ANTHROPIC_API_KEY (openai and google likewise). To apply a variable, run `longhaul down` and `longhaul up -d` in a shell that has it set.';

const unlistedHint = (name: string): string =>
  `The task names "${name}", which is not listed in available_agents; \`longhaul agents\` shows the names that are.`;

export interface NativeSettings {
  /** The folder of the native agent's journals. */
  readonly sessionsFolder: string;
}

export function makeNativeLauncher({ sessionsFolder }: NativeSettings): Launcher {
  return ({ env, answersOnly = false, unlisted }): AgentLaunch => {
    const renamed = Object.entries(RENAMED).flatMap(([from, to]) => (env[from] ? [[to, env[from]]] : []));
    return {
      name: NATIVE_AGENT,
      program: 'longhaul native-agent',
      command: process.execPath,
      args: [...loaderArguments(MAIN), MAIN, '--sessions', sessionsFolder, ...(answersOnly ? ['--answers-only'] : [])],
      envKeys: PROVIDER_KEYS,
      env: Object.fromEntries(renamed) as Record<string, string>,
      offersFileSystem: false,
      usageOf: 'turn',
      loginLack: 'cannot call its model',
      loginHint:
        unlisted === undefined || unlisted === NATIVE_AGENT ? LOGIN_HINT : `${unlistedHint(unlisted)} ${LOGIN_HINT}`,
    };
  };
}
