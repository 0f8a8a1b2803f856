/** `longhaul psql`: opens psql on the database. psql gets the password in its environment, never as an argument. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { passwordOf, withoutPassword } from '../services/postgres/password.ts';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { findDatabase } from './connect.ts';
import { runCommand } from './exit.ts';

export const psqlAction = (args: readonly string[]) => runCommand({}, () => psql(args));

/** Returns psql's exit code. */
async function psql(args: readonly string[]): Promise<number> {
  const databaseUrl = await findDatabase();
  const password = passwordOf(databaseUrl);
  // Ctrl-C in psql cancels a statement, and must not end this process before psql.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  try {
    const child = spawn('psql', ['--dbname', withoutPassword(databaseUrl), ...args], {
      stdio: 'inherit',
      env: { ...process.env, ...(password === undefined ? {} : { PGPASSWORD: password }) },
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    throw new LonghaulError(
      'invalid_input',
      'psql is not on PATH: install the client of Postgres (Debian: postgresql-client). For other clients, set PGPASSFILE: `longhaul status --get pgpass_file` names the file.',
      { cause: error },
    );
  } finally {
    process.off('SIGINT', ignore);
  }
}
