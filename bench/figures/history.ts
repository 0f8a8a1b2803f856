/**
 * Measures the size of a task's history in Temporal. The limit is 51,200 events, and each one is stored and replayed.
 */
import { ProgressPacer } from '../../activities/progress-pacer.ts';
import type { AgentProgress } from '../../contract/task.ts';
import type { Bench } from '../bench.ts';
import { historyOf } from '../timeline.ts';

/** Each progress report that reaches the workflow adds a signal and a workflow task (scheduled, started, completed). */
const EVENTS_A_SIGNAL = 4;
const TURN_S = 600;

/**
 * Computes the number of signals of a turn that reports progress each second for ten minutes, without waiting ten
 * minutes.
 */
async function signalsOfALongTurn(): Promise<number> {
  let nowMs = 0;
  let signals = 0;
  const pacer = new ProgressPacer(
    async () => {
      signals += 1;
    },
    () => nowMs,
  );
  for (let second = 0; second <= TURN_S; second += 1) {
    nowMs = second * 1_000;
    const progress: AgentProgress = { attempt: 1, phase: 'working', toolCalls: second };
    pacer.offer(progress);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return signals;
}

export const history: Bench = {
  name: 'history',
  about: "events of a task in Temporal's history: short, much output, long",
  stage: 'usual',
  async run(stage, { quick }) {
    const seconds = quick ? 2 : 20;
    const short = (await historyOf(stage, (await stage.run('trivial', 'Write written.txt.')).id)).length;
    const { id } = await stage.run('token-stream', `200 tokens/s for ${seconds} s`);
    const stream = (await historyOf(stage, id)).length;
    const signals = await signalsOfALongTurn();
    // The first signal is the phase `working`, which is already in the history of the short task.
    const long = short + (signals - 1) * EVENTS_A_SIGNAL;
    return {
      conditions: [
        `much output: ${200 * seconds} tokens in ${seconds} s; no text is in the history`,
        `ten minutes: computed, not measured: the ${signals} signals that the pacer sends if progress changes each second, ${EVENTS_A_SIGNAL} events each at most`,
      ],
      lines: [
        { what: 'a short task', n: 1, unit: 'events', figures: { count: short } },
        { what: 'a task with much output', n: 1, unit: 'events', figures: { count: stream } },
        { what: 'a turn of ten minutes', n: 1, unit: 'events', figures: { count: long } },
      ],
    };
  },
};
