import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Hibernation } from '../../activities/hibernation.ts';
import type { RunningAgent } from '../../agents/driver.ts';
import { deferred } from '../../contract/promises.ts';

const AFTER_MS = 600_000;
/** A process group of the test's own, that hibernation ends. */
let group: ChildProcess;
const canResume = (): RunningAgent => ({ resume: {}, process: { pid: group.pid } }) as RunningAgent;

beforeEach(() => {
  group = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  group.kill('SIGKILL');
});

function turn(agent: RunningAgent = canResume(), afterMs: number | 'never' = AFTER_MS) {
  const hibernated = { times: 0 };
  const hibernation = new Hibernation({
    afterMs: afterMs === 'never' ? undefined : afterMs,
    hibernate: () => void (hibernated.times += 1),
  });
  hibernation.setAgent(agent, { canResume: agent.resume !== undefined });
  return { hibernation, hibernated };
}

/** A request whose answer comes when `answer` is resolved, and which is delivered when `deliver` is. */
function request(hibernation: Hibernation) {
  const [answer, deliver] = [deferred(), deferred()];
  const handled = hibernation.handle(async (wait) => {
    await wait(() => answer.promise);
    await deliver.promise;
  });
  return { answer, deliver, handled };
}

test('it hibernates when the agent has only waited for that long, not before', async () => {
  const { hibernation, hibernated } = turn();
  request(hibernation);
  await vi.advanceTimersByTimeAsync(AFTER_MS - 1);
  expect(hibernated.times).toBe(0);
  const ended = once(group, 'exit');
  await vi.advanceTimersByTimeAsync(1);
  expect([hibernated.times, hibernation.signal.aborted]).toEqual([1, true]);
  expect(await ended).toEqual([null, 'SIGKILL']);
});

test('what the agent does meanwhile begins the time anew', async () => {
  const { hibernation, hibernated } = turn();
  request(hibernation);
  await vi.advanceTimersByTimeAsync(AFTER_MS - 1);
  hibernation.noteActivity();
  await vi.advanceTimersByTimeAsync(AFTER_MS - 1);
  expect(hibernated.times).toBe(0);
});

test('an answer that is being delivered keeps the agent, also while another request waits', async () => {
  const { hibernation, hibernated } = turn();
  request(hibernation);
  const second = request(hibernation);
  second.answer.resolve();
  await vi.advanceTimersByTimeAsync(2 * AFTER_MS);
  expect(hibernated.times).toBe(0);
  second.deliver.resolve();
  await second.handled;
  await vi.advanceTimersByTimeAsync(AFTER_MS);
  expect(hibernated.times).toBe(1);
});

test('without a request, without the ability to resume, or where the run cannot wait, it never hibernates', async () => {
  const idle = turn();
  const forgetful = turn({} as RunningAgent);
  const bound = turn(canResume(), 'never');
  request(forgetful.hibernation);
  request(bound.hibernation);
  await vi.advanceTimersByTimeAsync(10 * AFTER_MS);
  expect([idle, forgetful, bound].map(({ hibernated }) => hibernated.times)).toEqual([0, 0, 0]);
});
