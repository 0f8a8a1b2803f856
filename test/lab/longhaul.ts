/** The `longhaul` command as a person runs it: a process of its own, in some folder, on some home. */
import { execFile } from 'node:child_process';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { builtCommand } from './built.ts';

const run = promisify(execFile);

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** With a limit: a command that waits for its own background processes hangs. */
export async function longhaul(
  home: string,
  args: readonly string[],
  env: Record<string, string> = {},
  limitMs = 45_000,
): Promise<Ran> {
  const cache = process.env['LONGHAUL_CACHE'] ?? join(homedir(), '.cache', 'longhaul');
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(TEMPORAL_|LONGHAUL_|DATABASE_URL|VITEST)/.test(name),
  );
  const environment = { ...Object.fromEntries(inherited), LONGHAUL_HOME: home, LONGHAUL_CACHE: cache, ...env };
  return run(process.execPath, [builtCommand(), ...args], { cwd: tmpdir(), env: environment, timeout: limitMs }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: Ran) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
  );
}

/** Runs commands with a Postgres and a Temporal server that do not belong to the home. */
export function longhaulWith(
  home: string,
  args: readonly string[],
  services: { readonly databaseUrl: string; readonly temporalAddress: string },
): Promise<Ran> {
  return longhaul(home, args, {
    DATABASE_URL: services.databaseUrl,
    TEMPORAL_ADDRESS: services.temporalAddress,
    TEMPORAL_CONFIG_FILE: '/dev/null',
  });
}
