/**
 * A second user of the machine, beside a home at work: nothing of prompts, results, password and token can be read, and
 * nothing be stopped, but what docs/guarantees.md names. The commands of README are run as they stand there meanwhile.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { homePaths } from '../../services/home/home.ts';
import type { Status } from '../../services/status.ts';
import type { TaskId } from '../../contract/ids.ts';
import { builtCommand } from '../lab/built.ts';
import { type LabHome, startHome } from '../lab/home.ts';
import { isWaiting } from '../lab/observer.ts';
import { listeners, lookAsOtherUser, processesOf, type Seen } from '../lab/other-user.ts';
import { until } from '../lab/until.ts';

const run = promisify(execFile);
const PROMPT = 'canary-of-the-prompt';
const RESULT = 'canary-of-the-result';

let lab: LabHome;
let status: Status;
let aside: string;
let secrets: string[];
beforeAll(async () => {
  // A user who may read the repository may read the results in it; here no other user may.
  aside = await mkdtemp(path.join(tmpdir(), 'longhaul-aside-'));
  lab = await startHome({ aside });
  // Like a home that was made by hand, or by a version that was less careful.
  await chmod(lab.home, 0o755);
  status = await lab.up();
  const token = (await readFile(homePaths(lab.home).tokenFile, 'utf8')).trim();
  secrets = [new URL(lab.databaseUrl).password, token, PROMPT, RESULT];
});
afterAll(async () => {
  await lab.close();
  await rm(aside, { recursive: true, force: true });
});

const found = (text: string): string[] => secrets.filter((secret) => text.includes(secret));

function expectBlind(seen: Seen): void {
  expect(seen.reachable).toEqual([]);
  expect(seen.opened).toEqual([]);
  expect(seen.signalled).toEqual([]);
  expect(found(seen.commandLines)).toEqual([]);
}

test('files and processes of a home in mid-turn, and after it', async () => {
  const gate = lab.seen.gate();
  const input = `say ${PROMPT}. write result.txt with ${RESULT}. run cat ${gate.path}`;
  const task = await lab.seen.submit({ input });
  await lab.seen.untilFrame(task, 'the agent waits', isWaiting);
  expectBlind(await lookAsOtherUser(lab.home));
  await gate.open();
  expect((await lab.seen.ended(task)).state).toBe('completed');
  expectBlind(await lookAsOtherUser(lab.home));
});

test('every port listens on this machine only, and only Temporal’s ports respond without a password or the token', async () => {
  const listening = await listeners(await processesOf(lab.home));
  expect(listening.length).toBeGreaterThanOrEqual(4);
  expect(listening.filter((address) => !address.startsWith('127.0.0.1:'))).toEqual([]);

  for (const user of ['longhaul', 'postgres']) {
    const sql = postgres(`postgres://${user}@${new URL(lab.databaseUrl).host}/longhaul`, {
      max: 1,
      onnotice: () => {},
    });
    await expect(sql`SELECT 1`).rejects.toThrow(/password|SASL/i);
    await sql.end({ timeout: 1 });
  }
  const temporal = [status.temporal_address, status.temporal_ui_url].map((place) => place?.split(':').at(-1));
  for (const address of listening.filter((one) => !temporal.includes(one.split(':')[1]))) {
    for (const asked of ['/', '/metrics', '/readyz', '/api/tasks', '/api/sessions', '/api/changes']) {
      const body = await fetch(`http://${address}${asked}`).then(
        (response) => response.text(),
        () => '',
      );
      expect([address, asked, found(body)]).toEqual([address, asked, []]);
    }
  }
});

test('output for users and for reports contains no password: up, status, doctor, logs, the record', async () => {
  const said = [await lab.command('up', '-d'), await lab.command('status'), await lab.command('doctor')];
  const { logs, stateFile } = homePaths(lab.home);
  const files = ['supervisor', 'postgres', 'temporal', 'worker', 'backend'].map((name) =>
    path.join(logs, `${name}.log`),
  );
  const kept = await Promise.all([...files, stateFile].map(async (file) => readFile(file, 'utf8')));
  const credentials = secrets.slice(0, 2);
  for (const text of [...said.flatMap(({ stdout, stderr }) => [stdout, stderr]), ...kept])
    expect(credentials.filter((secret) => text.includes(secret))).toEqual([]);
  expect(await lab.command('status', '--json')).toMatchObject({
    stdout: expect.stringContaining(secrets[0] ?? '') as string,
  });
});

/** Says what it was started with, then is the program itself. */
const RECORDER = `#!/bin/sh
printf '%s\\n' "$0 $*" >> "$RECORD"
exec "$(PATH=$REAL_PATH command -v "$(basename "$0")")" "$@"
`;

test('README’s psql and curl commands start tasks as written, and show no secret to other users', async () => {
  const page = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, text = '']) => text);
  const chosen = blocks.filter((text) => /^longhaul psql|^curl /m.test(text));
  expect(chosen).toHaveLength(2);
  const bin = path.join(lab.home, 'recorders');
  const record = path.join(bin, 'record');
  await mkdir(bin);
  for (const name of ['psql', 'curl', 'node']) {
    await writeFile(path.join(bin, name), RECORDER);
    await chmod(path.join(bin, name), 0o755);
  }
  const real = process.env['PATH'] ?? '';
  const env = { ...process.env, LONGHAUL_HOME: lab.home, RECORD: record, REAL_PATH: real, PATH: `${bin}:${real}` };
  const script = ['set -eu', `longhaul() { node ${builtCommand()} "$@"; }`, ...chosen].join('\n');
  const before = await lab.seen.sql<{ id: TaskId }[]>`SELECT id FROM tasks`;
  await run('bash', ['-c', script], { cwd: lab.repository.path, env });
  const tasks = await lab.seen.sql<{ id: TaskId }[]>`
    SELECT id FROM tasks WHERE id != ALL (${before.map(({ id }) => id)}) ORDER BY created_at`;
  expect(tasks).toHaveLength(2);
  for (const { id } of tasks) expect((await lab.seen.ended(id)).state).toBe('completed');
  const started = await readFile(record, 'utf8');
  expect(started).toMatch(/psql /);
  expect(started).toMatch(/curl /);
  expect(found(started)).toEqual([]);
  await until('the processes to go', async () => found((await lookAsOtherUser(lab.home)).commandLines).length === 0);
});
