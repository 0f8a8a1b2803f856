import { expect, test } from 'vitest';
import { ProgressPacer } from '../../activities/progress-pacer.ts';
import type { AgentProgress, Phase } from '../../contract/task.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A pacer in a time of its own; `at` are the times of its signals. */
class Simulation {
  now = 0;
  readonly at: number[] = [];
  readonly sent: AgentProgress[] = [];
  failing = false;
  readonly pacer = new ProgressPacer(
    (progress) => {
      if (this.failing) return Promise.reject(new Error('Temporal is away'));
      this.at.push(this.now);
      this.sent.push(progress);
      return Promise.resolve();
    },
    () => this.now,
  );

  async offer(phase: Phase, more: Partial<AgentProgress> = {}): Promise<void> {
    this.pacer.offer({ attempt: 1, phase, ...more });
    await new Promise((resolve) => setImmediate(resolve)); // the signal's answer
  }

  /** Something new every `everyMs`, as a busy agent makes it. */
  async work(forMs: number, everyMs: number, phaseAt: (n: number) => Phase = () => 'working'): Promise<void> {
    for (let n = 0; n * everyMs < forMs; n += 1) {
      await this.offer(phaseAt(n), { tokens: this.now });
      this.now += everyMs;
    }
  }
}

test('a busy turn sends at most eight signals in its first ten minutes, and fewer later', async () => {
  const turn = new Simulation();
  await turn.work(HOUR_MS, 1_000);
  const before = (end: number): number => turn.at.filter((at) => at < end).length;
  expect(before(10 * MINUTE_MS)).toBeLessThanOrEqual(8);
  expect(before(10_000)).toBe(2); // soon enough to see what a short turn does
  expect(turn.at.length).toBeLessThanOrEqual(18);
  expect(turn.sent.at(-1)?.tokens).toBeGreaterThan(50 * MINUTE_MS);
});

test('a turn of thirty days that requests a permission every ten minutes sends fewer than 300 signals', async () => {
  const turn = new Simulation();
  await turn.work(30 * DAY_MS, 5 * MINUTE_MS, (n) => (n % 2 === 0 ? 'working' : 'waiting_permission'));
  expect(turn.sent.length).toBeLessThan(300);
  expect(turn.sent.length).toBeGreaterThan(200);
});

test('a change of phase or attempt is signalled at once', async () => {
  const turn = new Simulation();
  await turn.offer('starting'); // the workflow knows: it has scheduled the step
  await turn.offer('working');
  turn.now += 10;
  await turn.offer('waiting_permission');
  turn.now += 10;
  await turn.offer('working');
  await turn.offer('working', { attempt: 2 });
  await turn.offer('working', { attempt: 2, tokens: 1 }); // nothing of that kind
  expect(turn.sent.map(({ phase, attempt }) => [phase, attempt])).toEqual([
    ['working', 1],
    ['waiting_permission', 1],
    ['working', 1],
    ['working', 2],
  ]);
  expect(turn.at).toEqual([0, 10, 20, 20]);
});

test('the start of an agent is signalled once it takes longer than a second', async () => {
  const turn = new Simulation();
  for (; turn.now < 5_000; turn.now += 500) await turn.offer('starting');
  await turn.offer('working');
  expect(turn.sent.map(({ phase }) => phase)).toEqual(['starting', 'working']);
  expect(turn.at).toEqual([1_000, 5_000]);
});

test('without news no signal is sent', async () => {
  const turn = new Simulation();
  for (; turn.now < HOUR_MS; turn.now += 1_000) await turn.offer('working');
  expect(turn.sent).toHaveLength(1);
});

test('a signal that failed is sent again, the phase at the next opportunity', async () => {
  const turn = new Simulation();
  turn.failing = true;
  for (let i = 0; i < 400; i += 1) {
    await turn.offer('working', { tokens: i });
    turn.now += 1_000;
  }
  turn.failing = false;
  await turn.offer('working', { tokens: 400 });
  expect(turn.sent).toMatchObject([{ phase: 'working', tokens: 400 }]);
  await turn.offer('waiting_permission');
  expect(turn.sent).toHaveLength(2);
  turn.failing = true;
  turn.now += HOUR_MS;
  await turn.offer('waiting_permission', { tokens: 500 });
  turn.failing = false;
  turn.now += HOUR_MS;
  await turn.offer('waiting_permission', { tokens: 500 });
  expect(turn.sent.at(-1)).toMatchObject({ tokens: 500 });
});

test('while a signal is being sent no other signal is sent', async () => {
  let answer = (): void => {};
  const sent: AgentProgress[] = [];
  const pacer = new ProgressPacer((progress) => {
    sent.push(progress);
    return new Promise<void>((resolve) => (answer = resolve));
  });
  pacer.offer({ attempt: 1, phase: 'working' });
  pacer.offer({ attempt: 1, phase: 'waiting_permission' });
  expect(sent).toHaveLength(1);
  answer();
  await new Promise((resolve) => setImmediate(resolve));
  pacer.offer({ attempt: 1, phase: 'waiting_permission' });
  expect(sent).toHaveLength(2);
});
