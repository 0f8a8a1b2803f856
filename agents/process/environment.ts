/**
 * Builds the environment of an agent: a selection of the worker's variables. The variables of the database and of
 * Temporal are never in the agent's environment, because an agent with a shell would get our credentials. A launch
 * cannot add these variables.
 */
import { statSync } from 'node:fs';
import type { TaskId } from '../../contract/ids.ts';
import type { AgentLaunch } from '../launch/launch.ts';

/** Every process of a task's agent inherits this variable. A sweep finds the processes by this variable. */
export const TASK_MARKER = 'LONGHAUL_TASK';
/**
 * Identifies one spawn of an agent. An outdated attempt that closes late ends only its own spawn, and not the agent of
 * the next attempt, which has the same `LONGHAUL_TASK`.
 */
export const SPAWN_MARKER = 'LONGHAUL_SPAWN';
/** The real path of the task's Longhaul home, as it was when the agent started. */
export const HOME_PATH_MARKER = 'LONGHAUL_TASK_HOME';
/**
 * Device and inode of the home's folder. They identify the home better than its path: a home that was moved keeps them,
 * and a copy of the home, which contains the same tasks, has other ones.
 */
export const HOME_ID_MARKER = 'LONGHAUL_TASK_PLACE';

const PASSED: readonly string[] = [
  // TZ is passed because agents report wall-clock times, and Longhaul reads them in its own time zone.
  'PATH HOME USER LOGNAME SHELL LANG LC_* TZ TERM TMPDIR XDG_*',
  'http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY',
  'NODE_EXTRA_CA_CERTS SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO',
].flatMap((names) => names.split(' '));

const NEVER: readonly string[] = ['DATABASE_URL', 'TEMPORAL_*', 'LONGHAUL_*'];

const matches = (pattern: string, name: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

export interface AgentEnvironment {
  /** The worker's own environment. */
  readonly env: NodeJS.ProcessEnv;
  readonly launch: Pick<AgentLaunch, 'envKeys' | 'env'>;
  readonly taskId: TaskId;
  /** Unique to this spawn of the agent. */
  readonly spawnId: string;
}

export function agentEnvironment({ env, launch, taskId, spawnId }: AgentEnvironment): Record<string, string> {
  const passed = [...PASSED, ...launch.envKeys];
  const inherited = Object.entries(env).filter(([name]) => passed.some((pattern) => matches(pattern, name)));
  const result: Record<string, string> = {};
  for (const [name, value] of [...inherited, ...Object.entries(launch.env)]) {
    if (value === undefined || NEVER.some((pattern) => matches(pattern, name))) continue;
    result[name] = value;
  }
  result[TASK_MARKER] = taskId;
  result[SPAWN_MARKER] = spawnId;
  const home = env['LONGHAUL_HOME'];
  if (home) {
    result[HOME_PATH_MARKER] = home;
    const place = folderIdOf(home);
    if (place !== undefined) result[HOME_ID_MARKER] = place;
  }
  return result;
}

/** Returns device and inode of the folder, or `undefined` if it does not exist. */
function folderIdOf(home: string): string | undefined {
  const status = statSync(home, { throwIfNoEntry: false });
  return status && `${status.dev}-${status.ino}`;
}

/**
 * Returns whether a process with this environment was started for a task of the home (a real path). Returns `unknown`
 * if the environment names no home, because a program replaced its environment.
 */
export function belongsTo(home: string, environment: NodeJS.ProcessEnv): 'this_home' | 'another_home' | 'unknown' {
  const place = environment[HOME_ID_MARKER];
  // Agents that earlier versions of Longhaul started have only the path in their environment.
  const [found, expected] = place === undefined ? [environment[HOME_PATH_MARKER], home] : [place, folderIdOf(home)];
  if (found === undefined) return 'unknown';
  return found === expected ? 'this_home' : 'another_home';
}
