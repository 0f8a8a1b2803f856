/** The examples of the documents, run as they say by Node against real services. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lab, startLab } from '../lab/lab.ts';
import { until } from '../lab/until.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
  await lab.startWorker();
});
afterAll(() => lab.close());

interface Example {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly ended: Promise<unknown[]>;
}

function run(input: string): Example {
  const example = path.join(ROOT, 'docs', 'examples', 'follow.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', example, lab.repository.path, input, 'demo'], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], DATABASE_URL: lab.databaseUrl, TEMPORAL_ADDRESS: lab.temporal.address },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return { child, stdout: () => stdout, stderr: () => stderr, ended: once(child, 'exit') };
}

test("docs/examples/follow.ts submits a task and prints its agent's text until it ends", async () => {
  const { ended, stdout, stderr } = run('Write hello.txt with Hello. say all of it written');
  expect(await ended).toEqual([0, null]);
  expect(stdout()).toContain('all of it written');
  expect(stderr()).toMatch(/\[working\][^]*\[completed\][^]*completed: /);
  expect(await lab.sql`SELECT FROM pending_changes`).toHaveLength(1);
});

test('docs/examples/follow.ts cancels its task on Ctrl-C and follows it to the end', async () => {
  const { child, ended, stdout, stderr } = run('slowly. say one two three four five six seven eight nine ten');
  await until('the first words', () => stdout().includes('one'));
  child.kill('SIGINT');
  expect(await ended).toEqual([1, null]);
  expect(stderr()).toMatch(/\[cancelled\][^]*cancelled: /);
});
