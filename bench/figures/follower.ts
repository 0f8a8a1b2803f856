/** Measures the latency from an agent's output to a follower. */
import type { Bench, BenchOptions } from '../bench.ts';
import { startChild } from '../child.ts';
import type { FollowRequest, FollowResult } from '../follower.ts';
import type { Line, Outcome } from '../report.ts';
import { percentile } from '../statistics.ts';
import type { Stage } from '../stage.ts';

const TOKENS_PER_S = 20;
/** Seconds at the beginning that are not measured: agents that start together keep the processors busy. */
const SETTLE_S = 5;

async function latencies(stage: Stage, agents: number, seconds: number): Promise<number[]> {
  const child = await startChild('./follower.ts', stage.signal);
  try {
    const input = `${TOKENS_PER_S} tokens/s for ${seconds + SETTLE_S} s`;
    const taskIds = await stage.submitMany('token-stream', input, agents);
    const { databaseUrl, temporalAddress } = stage;
    const request: FollowRequest = { databaseUrl, temporalAddress, taskIds };
    const { latenciesMs } = await child.ask<FollowResult>(request);
    await stage.allEnded(taskIds);
    const expected = agents * TOKENS_PER_S * (seconds + SETTLE_S);
    if (latenciesMs.length !== expected) {
      throw new Error(`${agents} agents said ${expected} tokens, the follower has ${latenciesMs.length}`);
    }
    return latenciesMs.slice(agents * TOKENS_PER_S * SETTLE_S);
  } finally {
    await child.close();
  }
}

export const follower: Bench = {
  name: 'follower',
  about: "an agent's words: emit → follower, 1 and 20 agents at 20 tokens/s",
  stage: 'twenty slots',
  async run(stage: Stage, { quick }: BenchOptions): Promise<Outcome> {
    const seconds = quick ? 2 : 20;
    await latencies(stage, 1, 1); // A first measurement warms up processes and caches; its result is not used.
    const lines: Line[] = [];
    for (const [agents, target] of [
      [1, 5],
      [20, 20],
    ] as const) {
      const values = await latencies(stage, agents, seconds);
      const figures = { p50: percentile(values, 0.5), p95: percentile(values, 0.95), p99: percentile(values, 0.99) };
      const n = values.length;
      const what = agents === 1 ? '1 agent' : `${agents} agents`;
      const p99 = agents === 1 ? 30 : 50;
      lines.push({
        what: `${what}: emit → follower`,
        n,
        unit: 'ms',
        figures,
        target: { figure: 'p50', atMost: target },
      });
      lines.push({ what: `${what}: the same`, n, unit: 'ms', figures: { p99: figures.p99 }, target: { figure: 'p99', atMost: p99 } }); // prettier-ignore
    }
    return {
      conditions: [
        `${TOKENS_PER_S} tokens/s an agent for ${seconds} s, after ${SETTLE_S} s that are not counted; every token arrived`,
        "from the agent's write to its stdout to the frame in another process, which follows all tasks by client/follow-task; one machine, one clock",
      ],
      lines,
    };
  },
};
