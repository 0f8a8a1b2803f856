/** Measures the time from a task's row to its agent's process. */
import type { Bench } from '../bench.ts';
import { repetitions } from '../bench.ts';
import { legacyEnded, submitLegacy, withLegacy } from '../legacy.ts';
import { median, spread } from '../statistics.ts';
import { pause, type Stage } from '../stage.ts';

const INPUT = 'Write written.txt.';
const WARM_UP = 5;
const LEGACY_POLL_MS = 5_000;
/**
 * The number of legacy dispatchers that run side by side. A legacy dispatcher (`../legacy-dispatcher.ts`) is the
 * program that Longhaul replaces. It waits most of the time, so the dispatchers do not slow each other down.
 */
const LEGACY_AT_ONCE = 10;

async function spawnLatencyMs(stage: Stage): Promise<number> {
  const { id } = await stage.run('trivial', INPUT);
  const [row] = await stage.sql<{ ms: number }[]>`
    SELECT extract(epoch FROM a.spawned_at - t.created_at)::float8 * 1000 AS ms
      FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE t.id = ${id} AND a.attempt = 1`;
  if (!row) throw new Error(`task ${id} has no attempt`);
  return row.ms;
}

/**
 * Gives each legacy dispatcher one task after another. The tasks of all dispatchers together are submitted at times
 * that are spread evenly over the interval between two polls.
 */
async function legacyLatenciesMs(stage: Stage, n: number): Promise<number[]> {
  const dispatchers = Math.min(LEGACY_AT_ONCE, n);
  const each = Math.ceil(n / dispatchers);
  return withLegacy(stage, dispatchers, async (schemas) => {
    const all = schemas.map(async (schema, index) => {
      for (let task = 0; task < each; task += 1) {
        await pause((LEGACY_POLL_MS * (index * each + task + 0.5)) / (dispatchers * each), stage.signal);
        await submitLegacy(stage, schema, 1);
        await legacyEnded(stage, schema);
      }
      return (await legacyEnded(stage, schema)).map(({ spawn_ms }) => spawn_ms);
    });
    return (await Promise.all(all)).flat();
  });
}

export const spawn: Bench = {
  name: 'spawn',
  about: 'created_at → agent process spawned, one task at a time',
  stage: 'usual',
  async run(stage, options) {
    for (let index = 0; index < WARM_UP; index += 1) await spawnLatencyMs(stage);
    const values: number[] = [];
    for (let left = repetitions(options, { full: 60, quick: 5 }); left > 0; left -= 1)
      values.push(await spawnLatencyMs(stage));
    const legacy = await legacyLatenciesMs(stage, options.quick ? 2 : values.length);
    return {
      conditions: [
        `after ${WARM_UP} tasks to warm up; each submitted when the run of the previous one was closed; a project of 4 files`,
        "both times are from Postgres' clock; the second is the time at which the process was recorded, one statement after its spawn",
        `legacy: the dispatcher that Longhaul replaces (bench/legacy-dispatcher.ts), which polls every ${LEGACY_POLL_MS / 1_000} s; tasks submitted at moments spread evenly over that time`,
      ],
      lines: [
        {
          what: 'created_at → agent process spawned',
          n: values.length,
          unit: 'ms',
          figures: { ...spread(values), min: Math.min(...values) },
          target: { figure: 'p50', atMost: 60 },
        },
        { what: 'the same, legacy', n: legacy.length, unit: 'ms', figures: { ...spread(legacy) } },
        { what: 'legacy / ours', n: values.length, unit: '×', figures: { p50: median(legacy) / median(values) } },
      ],
    };
  },
};
