/** Measures the time from the `kill -9` of a part until the agent's next word is in the log. */
import type { TaskId } from '../../contract/ids.ts';
import { cancel } from '../../client/cancel.ts';
import { identifyRunning } from '../../processes/identity.ts';
import { isConnectionLoss } from '../../store/sql.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { repetitions } from '../bench.ts';
import { supervisorPid } from '../processes.ts';
import type { Line, Outcome } from '../report.ts';
import { pause, PARTS, type Stage } from '../stage.ts';
import { median } from '../statistics.ts';

/**
 * How long a part runs before it is killed. The supervisor treats a part that ran this long as healthy, so it restarts
 * the part after its shortest pause.
 */
const STEADY_MS = 10_500;
const BOUND_MS = 60_000;

const VICTIMS = ['worker', 'backend', 'agent', 'temporal', 'postgres', 'supervisor', 'all'] as const;
type Victim = (typeof VICTIMS)[number];

/** Kills that also end the agent, so the next word can only come from the agent of the next attempt. */
const WITH_AGENT: readonly Victim[] = ['worker', 'agent', 'all'];

interface Word {
  readonly agent: string;
  /** The time at which the word was in the log, by Postgres' clock. */
  readonly loggedMs: number;
}

const now = (): number => performance.timeOrigin + performance.now();

async function words(stage: Stage, taskId: TaskId): Promise<Word[]> {
  try {
    const rows = await stage.sql<{ content: string; ms: number }[]>`
      SELECT f.body ->> 'content' AS content, extract(epoch FROM f.at)::float8 * 1000 AS ms
        FROM frames f JOIN tasks t ON t.session_id = f.session_id
       WHERE t.id = ${taskId} AND f.type = 'delta' ORDER BY f.seq DESC LIMIT 200`;
    return rows
      .toReversed()
      .flatMap(({ content, ms }) =>
        [...content.matchAll(/(\d+)-\d+\.\d+ /g)].map(([, agent = '']) => ({ agent, loggedMs: ms })),
      );
  } catch (error) {
    if (isConnectionLoss(error)) return [];
    throw error;
  }
}

async function nextWord(stage: Stage, taskId: TaskId, test: (word: Word) => boolean): Promise<Word> {
  const deadline = performance.now() + BOUND_MS;
  for (;;) {
    stage.signal.throwIfAborted();
    const found = (await words(stage, taskId)).find(test);
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`no word of task ${taskId} for ${BOUND_MS} ms`);
    await pause(20, stage.signal);
  }
}

/** Kills the victim and returns the time from the kill to the next word, in ms. */
async function killOnce(stage: Stage, taskId: TaskId, victim: Victim): Promise<number> {
  const before = (await words(stage, taskId)).at(-1);
  if (!before) throw new Error(`task ${taskId} has said nothing yet`);
  const parts = await stage.pids();
  const pids = { ...parts, supervisor: await supervisorPid(stage), agent: Number(before.agent) };
  const killedMs = now();
  const victims = (victim === 'all' ? (['supervisor', ...PARTS] as const) : [victim]).map((name) => pids[name]);
  for (const pid of victims) process.kill(pid, 'SIGKILL');
  // `up` must run after the exit: if it checks within the first millisecond, it finds the supervisor alive and does
  // nothing.
  while (victims.some((pid) => identifyRunning(pid) !== undefined)) await pause(1, stage.signal);
  if (victim === 'supervisor' || victim === 'all') await stage.up();
  const anew = WITH_AGENT.includes(victim);
  const word = await nextWord(
    stage,
    taskId,
    ({ agent, loggedMs }) => loggedMs > killedMs && (!anew || agent !== before.agent),
  );
  return word.loggedMs - killedMs;
}

export const recovery: Bench = {
  name: 'recovery',
  about: "kill -9 of each part → the agent's next word in the log",
  stage: 'usual',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const count = repetitions(options, { full: 5, quick: 1 });
    const lines: Line[] = [];
    for (const victim of VICTIMS) {
      // Each kill has a task of its own, because a task fails after its agent has crashed three times in a row.
      const found: number[] = [];
      for (let left = count; left > 0; left -= 1) {
        const taskId = await stage.submit('token-stream', '20 tokens/s for 3600 s');
        await nextWord(stage, taskId, () => true);
        if (!options.quick) await pause(STEADY_MS, stage.signal);
        found.push(await killOnce(stage, taskId, victim));
        await cancel({ sql: stage.sql, temporal: stage.temporal.client }, taskId, 'the bench is done');
        await stage.untilRow(taskId, `the cancel of task ${taskId}`, ({ state }) => state === 'cancelled');
      }
      lines.push({
        what: victim,
        n: found.length,
        unit: 'ms',
        figures: { p50: median(found), max: Math.max(...found) },
        target: { figure: 'p50', atMost: 3_000 },
      });
    }
    return {
      conditions: [
        'one task, its agent in mid-turn; parts had run for at least 10 s; the supervisor starts what was killed, `longhaul up -d` the supervisor',
        'worker, agent, all: the word of the next agent, which has loaded its session; else the next word of the same one',
      ],
      lines,
    };
  },
};
