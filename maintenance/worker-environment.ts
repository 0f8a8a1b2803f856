/**
 * Reads the environment in which agents start. It is the environment of the worker, which the worker inherits from the
 * shell whose `longhaul up` started the supervisor. Commands report how it differs from the environment of their own
 * shell, for example after the user has changed a key.
 */
import { NATIVE_VARIABLES } from '../agents/launch/native.ts';
import { CATALOG } from '../agents/profiles/catalog.ts';
import { readEnvironment } from '../processes/environment.ts';
import type { Settings } from '../services/settings.ts';
import { readStatus } from '../services/status.ts';

/**
 * The variables whose differences are reported, because they decide whether an agent works. Others, such as those of a
 * terminal, differ from shell to shell.
 */
const WATCHED = [
  'PATH HOME',
  'http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY',
  'NODE_EXTRA_CA_CERTS SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO',
].flatMap((names) => names.split(' '));

/** Returns the worker's environment. Returns undefined if no worker runs, or if its environment cannot be read. */
export async function workerEnvironment(settings: Settings): Promise<NodeJS.ProcessEnv | undefined> {
  const { parts } = await readStatus(settings);
  const pid = parts.find((part) => part.name === 'worker')?.pid;
  return pid ? readEnvironment(pid) : undefined;
}

/** Returns the names of variables that differ or that only one side has. Values are left out, because some are keys. */
export function differingVariables(worker: NodeJS.ProcessEnv, shell: NodeJS.ProcessEnv): string[] {
  const patterns = [...WATCHED, ...NATIVE_VARIABLES, ...Object.values(CATALOG).flatMap((profile) => profile.envKeys)];
  const watched = (name: string): boolean =>
    patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
  const names = new Set([...Object.keys(worker), ...Object.keys(shell)].filter(watched));
  return [...names].filter((name) => (worker[name] ?? '') !== (shell[name] ?? '')).sort();
}
