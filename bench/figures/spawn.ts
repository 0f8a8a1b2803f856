/** From the row to the agent's process. */
import type { Bench } from '../bench.ts';
import { times } from '../bench.ts';
import { spread } from '../statistics.ts';
import type { Stage } from '../stage.ts';

const INPUT = 'Write written.txt.';
const WARM_UP = 5;

async function spawnLatencyMs(stage: Stage): Promise<number> {
  const { id } = await stage.run('trivial', INPUT);
  const [row] = await stage.sql<{ ms: number }[]>`
    SELECT extract(epoch FROM a.spawned_at - t.created_at)::float8 * 1000 AS ms
      FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE t.id = ${id} AND a.attempt = 1`;
  if (!row) throw new Error(`task ${id} has no attempt`);
  return row.ms;
}

export const spawn: Bench = {
  name: 'spawn',
  about: 'created_at → agent process spawned, one task at a time',
  stage: 'usual',
  async run(stage, options) {
    for (let index = 0; index < WARM_UP; index += 1) await spawnLatencyMs(stage);
    const values: number[] = [];
    for (let left = times(options, { full: 60, quick: 5 }); left > 0; left -= 1)
      values.push(await spawnLatencyMs(stage));
    return {
      conditions: [
        `after ${WARM_UP} tasks to warm up; each handed over when the run of the one before was closed; a project of 4 files`,
        "both moments by Postgres' clock; the second is when the process was recorded, one statement after its spawn",
      ],
      lines: [
        {
          what: 'created_at → agent process spawned',
          n: values.length,
          unit: 'ms',
          figures: { ...spread(values), min: Math.min(...values) },
          target: { figure: 'p50', atMost: 60 },
        },
      ],
    };
  },
};
