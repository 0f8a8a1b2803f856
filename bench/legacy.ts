/** Submits tasks to the dispatcher that Longhaul replaces, and waits for them. */
import { startChild } from './child.ts';
import type { LegacyStart } from './legacy-dispatcher.ts';
import { agentPath, pause, type Stage } from './stage.ts';

/** The times of one task of the legacy dispatcher, in ms from its creation: to the spawn of its agent, and to its end. */
export interface LegacyTask {
  readonly spawn_ms: number;
  readonly took_ms: number;
}

/** Runs one dispatcher for each schema, on the stage's Postgres and project, as long as `use` runs. */
export async function withLegacy<T>(stage: Stage, count: number, use: (schemas: string[]) => Promise<T>): Promise<T> {
  const schemas = Array.from({ length: count }, (_, index) => `legacy_${index}`);
  const child = await startChild('./legacy-dispatcher.ts', stage.signal);
  try {
    const { databaseUrl, project, home: folder } = stage;
    const start: LegacyStart = { databaseUrl, project: project.path, folder, command: agentPath('trivial'), schemas };
    await child.ask(start);
    return await child.during(use(schemas));
  } finally {
    await child.close();
  }
}

/** Inserts `count` tasks into the table of the schema's dispatcher. */
export async function submitLegacy({ sql }: Stage, schema: string, count: number): Promise<void> {
  await sql`INSERT INTO ${sql(`${schema}.tasks`)} (input) SELECT 'Write written.txt.' FROM generate_series(1, ${count}::int)`;
}

/** Waits until the schema has no open task, then returns all its tasks. */
export async function legacyEnded({ sql, signal }: Stage, schema: string): Promise<LegacyTask[]> {
  const tasks = sql(`${schema}.tasks`);
  for (;;) {
    signal.throwIfAborted();
    const open = await sql`SELECT FROM ${tasks} WHERE ended_at IS NULL LIMIT 1`;
    if (open.length === 0) break;
    await pause(200, signal);
  }
  return sql<LegacyTask[]>`
    SELECT extract(epoch FROM spawned_at - created_at)::float8 * 1000 AS spawn_ms,
           extract(epoch FROM ended_at - created_at)::float8 * 1000 AS took_ms FROM ${tasks}`;
}
