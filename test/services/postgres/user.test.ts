/** The embedded Postgres for a user id that has no entry in /etc/passwd, as in a container that is run with `--user`. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { loaderArguments, loaderEnv, ownModulePath } from '../../../processes/own-module.ts';

const UNKNOWN_UID = 54_321;

/** Imports the module, gives up root, then plans. */
const PROGRAM = `
  const { planPostgresUser } = await import(${JSON.stringify(ownModulePath('services/postgres/user'))});
  process.setgid(${UNKNOWN_UID});
  process.setuid(${UNKNOWN_UID});
  const plan = planPostgresUser('/tmp', '/tmp/longhaul-none', '/usr/bin/true');
  console.log(JSON.stringify(await plan.catch(({ code, message }) => ({ code, message }))));
`;

async function planned(env: NodeJS.ProcessEnv): Promise<unknown> {
  const args = [...loaderArguments('.ts'), '--input-type=module', '--eval', PROGRAM];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, ...loaderEnv(), ...env },
  });
  return JSON.parse(stdout);
}

test('a user without an entry in /etc/passwd runs it in a user namespace', async () => {
  expect(await planned({})).toEqual({ user: { kind: 'namespace' }, open: [] });
});

test('where namespaces are not permitted, the message says what is missing and what to do', async () => {
  expect(await planned({ PATH: '/nonexistent' })).toEqual({
    code: 'invalid_input',
    message: `The embedded Postgres needs an entry in /etc/passwd for the user that runs it, found none for uid ${UNKNOWN_UID}, and \`unshare -U\` is not permitted here. Add an entry, run as a user that has one, or set DATABASE_URL.`,
  });
});
