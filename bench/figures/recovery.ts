/** From the worker's kill -9 to its agent's words. */
import type { TaskId } from '../../workflows/contract.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { times } from '../bench.ts';
import type { Outcome } from '../report.ts';
import { cancel } from '../../client/cancel.ts';
import { median } from '../statistics.ts';
import { pause, type Stage } from '../stage.ts';

/** The supervisor takes a part that ran this long for healthy: the next restart comes after its shortest pause. */
const STEADY_MS = 10_500;
const BOUND_MS = 60_000;

/** Process and time of the first token that a process other than `not` has written. */
async function firstToken(stage: Stage, taskId: TaskId, not?: string): Promise<{ pid: string; atMs: number }> {
  const deadline = performance.now() + BOUND_MS;
  for (;;) {
    stage.signal.throwIfAborted();
    const rows = await stage.sql<{ content: string }[]>`
      SELECT f.body ->> 'content' AS content FROM frames f JOIN tasks t ON t.session_id = f.session_id
       WHERE t.id = ${taskId} AND f.type = 'delta' ORDER BY f.seq DESC LIMIT 200`;
    const tokens = rows.toReversed().flatMap(({ content }) => [...content.matchAll(/(\d+)-(\d+\.\d+) /g)]);
    const token = tokens.find(([, pid]) => pid !== not);
    if (token) return { pid: token[1] ?? '', atMs: Number(token[2]) };
    if (performance.now() > deadline) throw new Error(`no agent of task ${taskId} said anything for ${BOUND_MS} ms`);
    await pause(20, stage.signal);
  }
}

interface Recovery {
  /** Until the next agent's process. */
  readonly spawnedMs: number;
  /** Until its first word. */
  readonly workingMs: number;
}

async function killWorker(stage: Stage, taskId: TaskId, agent: string): Promise<Recovery & { readonly agent: string }> {
  const { worker } = await stage.pids();
  const killedAt = performance.timeOrigin + performance.now();
  process.kill(worker, 'SIGKILL');
  const next = await firstToken(stage, taskId, agent);
  const [row] = await stage.sql<{ ms: number }[]>`
    SELECT extract(epoch FROM spawned_at)::float8 * 1000 AS ms FROM attempts
     WHERE task_id = ${taskId} AND spawned_at IS NOT NULL ORDER BY attempt DESC LIMIT 1`;
  return { spawnedMs: (row?.ms ?? Number.NaN) - killedAt, workingMs: next.atMs - killedAt, agent: next.pid };
}

export const recovery: Bench = {
  name: 'recovery',
  about: 'kill -9 of the worker → its agent at work again',
  stage: 'usual',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const taskId = await stage.submit('token-stream', '20 tokens/s for 3600 s');
    let agent = (await firstToken(stage, taskId)).pid;
    const found: Recovery[] = [];
    for (let left = times(options, { full: 10, quick: 1 }); left > 0; left -= 1) {
      await pause(STEADY_MS, stage.signal);
      const one = await killWorker(stage, taskId, agent);
      agent = one.agent;
      found.push(one);
    }
    await cancel({ sql: stage.sql, temporal: stage.temporal.client }, taskId, 'the bench is done');
    await stage.untilRow(taskId, `the cancel of task ${taskId}`, ({ state }) => state === 'cancelled');
    const line = (what: string, values: readonly number[]) => ({
      what,
      n: values.length,
      unit: 'ms',
      figures: { p50: median(values), max: Math.max(...values) },
    });
    return {
      conditions: [
        'one task, its agent in mid-turn; the worker had run for at least 10 s; its supervisor starts it again; the agent can load its session',
        'the kill by the clock of the bench, the word by that of the agent: one machine, one clock',
      ],
      lines: [
        line(
          'kill -9 → the next agent process',
          found.map(({ spawnedMs }) => spawnedMs),
        ),
        {
          ...line(
            'kill -9 → its first word',
            found.map(({ workingMs }) => workingMs),
          ),
          target: { figure: 'max', atMost: 3_000 },
        },
      ],
    };
  },
};
