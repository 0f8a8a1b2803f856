/** Measures the latency from an agent's output to a WebSocket client of the backend. */
import { backendAccess } from '../backend-access.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { startChild } from '../child.ts';
import type { Line, Outcome } from '../report.ts';
import type { SocketRequest, SocketResult } from '../socket-reader.ts';
import { percentile } from '../statistics.ts';
import { pause, type Stage } from '../stage.ts';
import type { SessionId, TaskId } from '../../contract/ids.ts';

/** Seconds at the beginning that are not measured: agents that start together keep the processors busy. */
const SETTLE_S = 5;

interface Case {
  readonly what: string;
  readonly agents: number;
  readonly tokensPerS: number;
  /** The number of readers of each session. */
  readonly readers: number;
  readonly p50: number;
  readonly p99: number;
}

const CASES: readonly Case[] = [
  { what: '1 agent at 20 tokens/s', agents: 1, tokensPerS: 20, readers: 1, p50: 5, p99: 30 },
  { what: '20 agents at 20 tokens/s', agents: 20, tokensPerS: 20, readers: 1, p50: 20, p99: 50 },
  { what: '100 readers of one session', agents: 1, tokensPerS: 20, readers: 100, p50: 10, p99: 40 },
  { what: '1 agent at 200 tokens/s', agents: 1, tokensPerS: 200, readers: 1, p50: 25, p99: 50 },
];

const WARM: Case = { what: 'warm', agents: 1, tokensPerS: 20, readers: 1, p50: 5, p99: 30 };

/** Returns the session of each task as soon as all tasks have one. */
async function sessionsOf(stage: Stage, taskIds: readonly TaskId[]): Promise<SessionId[]> {
  for (;;) {
    stage.signal.throwIfAborted();
    const rows = await stage.sql<{ session_id: SessionId }[]>`
      SELECT session_id FROM tasks WHERE id = ANY (${taskIds}) AND session_id IS NOT NULL`;
    if (rows.length === taskIds.length) return rows.map(({ session_id }) => session_id);
    await pause(10, stage.signal);
  }
}

async function latencies(stage: Stage, one: Case, seconds: number): Promise<number[]> {
  const { agents, tokensPerS, readers } = one;
  const child = await startChild('./socket-reader.ts', stage.signal);
  try {
    const taskIds = await stage.submitMany(
      'token-stream',
      `${tokensPerS} tokens/s for ${seconds + SETTLE_S} s`,
      agents,
    );
    const { url, token } = await backendAccess(stage);
    const sessions = await sessionsOf(stage, taskIds);
    const urls = sessions.flatMap((id) => {
      const socket = `${url.replace('http', 'ws')}/api/sessions/${id}/frames?after=0`;
      return Array.from({ length: readers }, () => socket);
    });
    const request: SocketRequest = { urls, token };
    const { latenciesMs } = await child.ask<SocketResult>(request);
    await stage.allEnded(taskIds);
    const expected = agents * readers * tokensPerS * (seconds + SETTLE_S);
    if (latenciesMs.length !== expected) {
      throw new Error(`${one.what}: expected ${expected} tokens at the readers, they have ${latenciesMs.length}`);
    }
    return latenciesMs.slice(agents * readers * tokensPerS * SETTLE_S);
  } finally {
    await child.close();
  }
}

export const websocket: Bench = {
  name: 'websocket',
  about: "an agent's words: emit → WebSocket, 1 and 20 agents, 100 readers, 200 tokens/s",
  stage: 'twenty slots',
  async run(stage: Stage, { quick }: BenchOptions): Promise<Outcome> {
    const seconds = quick ? 2 : 20;
    const lines: Line[] = [];
    await latencies(stage, WARM, 1);
    for (const one of CASES) {
      const values = await latencies(stage, one, seconds);
      const figures = { p50: percentile(values, 0.5), p95: percentile(values, 0.95), p99: percentile(values, 0.99) };
      const n = values.length;
      lines.push({ what: one.what, n, unit: 'ms', figures, target: { figure: 'p50', atMost: one.p50 } });
      const target = { figure: 'p99', atMost: one.p99 };
      lines.push({ what: `${one.what}: the same`, n, unit: 'ms', figures: { p99: figures.p99 }, target });
    }
    return {
      conditions: [
        `${seconds} s each, after ${SETTLE_S} s that are not counted; every token arrived at every reader`,
        "from the agent's write to its stdout to the message in another process, which has all the sockets; one machine, one clock",
      ],
      lines,
    };
  },
};
