/** An interrupt is one transaction: a sender that loses its connection in between leaves neither part. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { submit } from '../../client/submit.ts';
import { connect } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { labSession } from '../lab/log.ts';
import { blockedBackend, hold } from '../lab/until.ts';

let database: LabDatabase;
let folder: string;
beforeAll(async () => {
  database = await freshDatabase();
  folder = await mkdtemp(path.join(tmpdir(), 'longhaul-interrupt-'));
  await mkdir(path.join(folder, '.git'));
  await writeFile(path.join(folder, '.git', 'HEAD'), 'ref: refs/heads/main\n');
});
afterAll(async () => {
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

test('a sender that loses its connection has cancelled nothing and added nothing; again, it has done both', async () => {
  const { sql } = database;
  const { sessionId, taskId: running } = await labSession(sql);
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true)`;
  const [project] = await sql<{ id: string }[]>`INSERT INTO projects (name, path) VALUES ('p', ${folder}) RETURNING id`;
  await sql`UPDATE sessions SET project_id = ${project?.id ?? ''}`;
  const name = `sender ${randomUUID().slice(0, 8)}`;
  const own = connect(database.url, { applicationName: name });
  const send = () => submit({ sql: own }, { sessionId, input: 'now', agent: 'demo', interrupt: true });
  const rows = () => sql`SELECT input, cancel_requested_at IS NOT NULL AS cancelled FROM tasks ORDER BY claimed_at`;
  try {
    const held = await hold(sql, (tx) => tx`SELECT FROM sessions WHERE id = ${sessionId} FOR UPDATE`);
    const lost = send().catch((error: unknown) => error);
    await sql`SELECT pg_terminate_backend(${await blockedBackend(sql, name)})`;
    expect(await lost).toBeInstanceOf(Error);
    await held.release();
    expect(await rows()).toEqual([{ input: 'lab', cancelled: false }]);
    expect(await send()).toMatchObject({ interrupted: running });
    expect(await rows()).toEqual([
      { input: 'lab', cancelled: true },
      { input: 'now', cancelled: false },
    ]);
  } finally {
    await own.end({ timeout: 1 });
  }
});
