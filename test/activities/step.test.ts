import { ApplicationFailure, CancelledFailure, Context } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { retryWhileDatabaseDown, wrapStep, withHeartbeat } from '../../activities/step.ts';
import { LonghaulError } from '../../contract/errors.ts';

const environment = () => new MockActivityEnvironment({ attempt: 3 }, { logger: new DefaultLogger('ERROR', () => {}) });
const withCode = (code: string): Error => Object.assign(new Error(`it said ${code}`), { code });

/** Runs a step that does `work`, with its log lines. */
async function run(work: () => Promise<unknown>): Promise<{ outcome: unknown; lines: Record<string, unknown>[] }> {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const env = environment();
  const outcome: unknown = await env
    .run(wrapStep('tryIt', pino({}, { write }), work), { taskId: 't1' })
    .catch((e: unknown) => e);
  return { outcome, lines };
}

test.each([
  ['a failure that nothing mends', new LonghaulError('not_a_repository', 'no'), 'not_a_repository', true],
  ['a failure that waiting may mend', new LonghaulError('git_failed', 'no'), 'git_failed', false],
  ['a lost connection to Postgres', withCode('CONNECTION_CLOSED'), 'service_unreachable', false],
  ['a Postgres that shuts down', withCode('57P01'), 'service_unreachable', false],
  ['a statement_timeout of the database', withCode('57014'), 'service_unreachable', false],
  ['a lock_timeout of the database', withCode('55P03'), 'service_unreachable', false],
  ['a full disk here', withCode('ENOSPC'), 'disk_full', false],
  ['a full disk at the database', withCode('53100'), 'disk_full', false],
  ['a bug', new TypeError('no'), 'internal_error', false],
  ['a thrown value that is no error', 'no', 'internal_error', false],
])('%s reaches Temporal under its code', async (_, error, type, nonRetryable) => {
  const { outcome, lines } = await run(() => {
    throw error;
  });
  expect(outcome).toBeInstanceOf(ApplicationFailure);
  expect(outcome).toMatchObject({ type, nonRetryable });
  expect(lines).toMatchObject([
    { step: 'tryIt', attempt: 3, msg: expect.stringContaining('tryIt failed: ') as string },
  ]);
});

test("a cancel, and a failure that already is one of Temporal's, pass unchanged", async () => {
  for (const error of [new CancelledFailure('stop'), ApplicationFailure.nonRetryable('x', 'worker_lost')]) {
    expect((await run(() => Promise.reject(error))).outcome).toBe(error);
  }
});

test('a step that succeeds logs one line', async () => {
  const { outcome, lines } = await run(() => Promise.resolve('fine'));
  expect(outcome).toBe('fine');
  expect(lines).toMatchObject([{ step: 'tryIt', task_id: 't1', msg: 'tryIt done', ms: expect.any(Number) as number }]);
});

test('a failure contains a readable message only, not the output of an agent or a command', async () => {
  const { outcome } = await run(() => Promise.reject(new LonghaulError('git_failed', `git: ${'x'.repeat(50_000)}`)));
  const failure = outcome as ApplicationFailure;
  expect(failure.message.length).toBeLessThanOrEqual(2_000);
  expect(failure.message).toMatch(/^git: x+…$/);
});

test('a cancel during a step ends it as cancelled, whatever error the work throws', async () => {
  const env = environment();
  const work = async (): Promise<void> => {
    await withHeartbeat(
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new LonghaulError('git_failed', 'git was killed')));
          env.cancel('CANCELLED');
        }),
    );
  };
  await expect(env.run(wrapStep('tryIt', pino({ enabled: false }), work), undefined)).rejects.toBeInstanceOf(
    CancelledFailure,
  );
});

test('a failure without a cancel stays a failure', async () => {
  const env = environment();
  const failed = env.run(() => withHeartbeat(() => Promise.reject(new LonghaulError('git_failed', 'no'))));
  await expect(failed).rejects.toMatchObject({ code: 'git_failed' });
});

test('a step sends heartbeats while it works, and none afterwards', async () => {
  const env = environment();
  let beats = 0;
  let beaten = (): void => {};
  const beat = new Promise<void>((resolve) => (beaten = resolve));
  env.on('heartbeat', () => {
    beats += 1;
    beaten();
  });
  await env.run(async () => {
    expect(Context.current().info.attempt).toBe(3);
    await withHeartbeat(() => beat);
  });
  expect(beats).toBe(1);
});

test('while Postgres is unavailable a step that must not use up its attempts is retried; other failures pass', async () => {
  let runs = 0;
  const work = (): Promise<string> => {
    runs += 1;
    return runs < 3 ? Promise.reject(withCode('ECONNREFUSED')) : Promise.resolve('back');
  };
  expect(await environment().run(retryWhileDatabaseDown(work), undefined)).toBe('back');
  expect(runs).toBe(3);
  const fails = retryWhileDatabaseDown(() => Promise.reject(new LonghaulError('git_failed', 'no')));
  await expect(environment().run(fails, undefined)).rejects.toMatchObject({ code: 'git_failed' });
});

test('a cancel ends the wait for Postgres', async () => {
  const env = environment();
  const work = retryWhileDatabaseDown(() => {
    env.cancel();
    return Promise.reject(withCode('CONNECTION_CLOSED'));
  });
  await expect(env.run(work, undefined)).rejects.toBeInstanceOf(CancelledFailure);
});
