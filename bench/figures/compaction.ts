/** Measures the cost of the frames of many tasks: not compacted, compacted afterwards, and compacted continuously. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { compactFrames } from '../../frames/compact.ts';
import { readPages } from '../../frames/page.ts';
import { takeSnapshot } from '../../frames/snapshot.ts';
import { startPostgres, stopPostgres } from '../../services/postgres/postgres.ts';
import { migrate } from '../../store/migrate.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { SessionId } from '../../contract/ids.ts';
import type { Bench, BenchOptions } from '../bench.ts';
import { addStreaming, addTasks, FRAMES_A_TASK } from '../many-frames.ts';
import type { Line, Outcome } from '../report.ts';
import { spread } from '../statistics.ts';

const SESSIONS = 100;
const LOOKS = 50;

async function tableMb(sql: Sql): Promise<number> {
  await sql`VACUUM ANALYZE frames`;
  const [row] = await sql<{ mb: number }[]>`SELECT pg_total_relation_size('frames') / 1048576.0 AS mb`;
  return Number(row?.mb);
}

async function timesMs(sessions: readonly SessionId[], look: (id: SessionId) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (const id of sessions) {
    const began = performance.now();
    await look(id);
    times.push(performance.now() - began);
  }
  return times;
}

/** Times the reads of a reader that lacks only the newest frames, and of a reader that has no frame. */
async function looks(sql: Sql, when: string): Promise<Line[]> {
  const rows = await sql<{ id: SessionId; seq: number }[]>`SELECT id, seq FROM sessions ORDER BY id LIMIT ${LOOKS}`;
  const ids = rows.map(({ id }) => id);
  const last = rows[0]?.seq ?? 0;
  const page = await timesMs(ids, (sessionId) => readPages(sql, [{ sessionId, after: last - 5 }]));
  const snapshot = await timesMs(ids, (sessionId) => takeSnapshot(sql, sessionId));
  return [
    { what: `page at the end of a log, ${when}`, n: LOOKS, unit: 'ms', figures: { ...spread(page) } },
    { what: `snapshot while a message streams, ${when}`, n: LOOKS, unit: 'ms', figures: { ...spread(snapshot) } },
  ];
}

async function leftAlone(sql: Sql, tasksEach: number): Promise<Line[]> {
  await addTasks(sql, { sessions: SESSIONS, from: 0, to: tasksEach });
  await addStreaming(sql, { sessions: SESSIONS, at: tasksEach });
  const mb = await tableMb(sql);
  const before = await looks(sql, 'left alone');
  const began = performance.now();
  const done = await compactFrames(sql);
  const seconds = (performance.now() - began) / 1_000;
  const frames = done?.frames ?? 0;
  await sql`VACUUM ANALYZE frames`;
  return [
    { what: 'table and indexes, left alone', n: 1, unit: 'MB', figures: { size: mb } },
    ...before,
    { what: 'compaction of all of it at once', n: frames, unit: 's', figures: { took: seconds } },
    { what: 'frames that it removed in a second', n: frames, unit: '', figures: { rate: frames / seconds } },
    ...(await looks(sql, 'compacted')),
  ];
}

async function asTheyCome(sql: Sql, tasksEach: number): Promise<Line[]> {
  const step = Math.max(1, Math.round(tasksEach / 20));
  for (let from = 0; from < tasksEach; from += step) {
    await addTasks(sql, { sessions: SESSIONS, from, to: Math.min(from + step, tasksEach) });
    await compactFrames(sql);
    // In normal use autovacuum runs VACUUM, but a bench is too short for it.
    await sql`VACUUM frames`;
  }
  const [row] = await sql<{ frames: number }[]>`SELECT count(*) AS frames FROM frames`;
  const size = await tableMb(sql);
  return [
    { what: 'table and indexes, compacted as they come', n: 1, unit: 'MB', figures: { size } },
    { what: 'frames that stay', n: 1, unit: '', figures: { count: row?.frames ?? 0 } },
  ];
}

export const compaction: Bench = {
  name: 'compaction',
  about: 'the frame table after 10,000 tasks: its size, pages and snapshots, before and after',
  stage: 'none',
  async run({ quick }: BenchOptions): Promise<Outcome> {
    const tasksEach = quick ? 5 : 100;
    const dir = await mkdtemp(path.join(tmpdir(), 'longhaul-bench-frames-'));
    const running = await startPostgres({ dir: path.join(dir, 'postgres'), logFile: path.join(dir, 'postgres.log') });
    const onDatabase = async (
      name: string,
      measure: (sql: Sql, tasksEach: number) => Promise<Line[]>,
    ): Promise<Line[]> => {
      const url = new URL(running.url);
      const admin = connect(running.url, { max: 1 });
      await admin.unsafe(`CREATE DATABASE ${name}`);
      await admin.end({ timeout: 1 });
      url.pathname = `/${name}`;
      const sql = connect(url.href);
      try {
        await migrate(sql);
        return await measure(sql, tasksEach);
      } finally {
        await sql.end({ timeout: 1 });
      }
    };
    try {
      return {
        conditions: [
          `${SESSIONS * tasksEach} tasks in ${SESSIONS} sessions, ${FRAMES_A_TASK} frames each, made in the database, an hour old; in each session one more message streams`,
          'compacted as they come: in 20 parts, a VACUUM after each as autovacuum would',
        ],
        lines: [...(await onDatabase('left_alone', leftAlone)), ...(await onDatabase('as_they_come', asTheyCome))],
      };
    } finally {
      await stopPostgres(running.identity);
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    }
  },
};
