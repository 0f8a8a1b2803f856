import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listAgent } from '../../store/available-agents.ts';
import { migrate } from '../../store/migrate.ts';
import type { Sql } from '../../store/sql.ts';
import { emptyDatabase, type LabDatabase } from '../lab/database.ts';
import { bareTables, COLUMNS } from '../lab/old-tables.ts';

/** What a careful backend has: keys, and references between the tables. */
const KEYS = `
  ${Object.keys(COLUMNS)
    .map((table) => `ALTER TABLE ${table} ADD PRIMARY KEY (${table === 'available_agents' ? 'name' : 'id'});`)
    .join('\n')}
  ALTER TABLE sessions ADD FOREIGN KEY (project_id) REFERENCES projects (id);
  ALTER TABLE chats ADD FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE;
  ALTER TABLE tasks ADD FOREIGN KEY (project_id) REFERENCES projects (id),
                    ADD FOREIGN KEY (session_id) REFERENCES sessions (id),
                    ADD FOREIGN KEY (agent) REFERENCES available_agents (name),
                    ALTER COLUMN state SET NOT NULL, ALTER COLUMN input SET NOT NULL;
  ALTER TABLE messages ADD FOREIGN KEY (chat_id) REFERENCES chats (id) ON DELETE CASCADE;
  ALTER TABLE pending_changes ADD FOREIGN KEY (task_id) REFERENCES tasks (id);`;

type Row = Readonly<Record<string, unknown>>;
const at = (day: number): Date => new Date(Date.UTC(2024, 0, day, 12));

/** Rows in every table, as an old backend has written them. Returns the old rows by table. */
function oldRows(): Readonly<Record<string, readonly Row[]>> {
  const [project, session, chat, task] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
  const none = Object.fromEntries((COLUMNS['tasks'] ?? []).map((column) => [column, null]));
  const old = (id: string, state: string, day: number): Row => {
    return { ...none, id, project_id: project, session_id: session, input: state, state, created_at: at(day) };
  };
  const message = { id: randomUUID(), session_id: session, chat_id: chat, role: 'user', content: 'Hi', status: 'sent' };
  return {
    projects: [{ id: project, name: 'old', path: '/srv/old' }],
    available_agents: [{ name: 'claude', supports_acp: true, install_path: '/opt/claude' }],
    sessions: [{ id: session, project_id: project, name: 'Talk', model: null, status: 'archived' }],
    chats: [{ id: chat, session_id: session, name: 'c', status: 'open', created_at: at(1) }],
    tasks: [
      { ...old(task, 'completed', 2), agent: 'claude', ended_at: at(3), cost_tokens: 12, output_summary: 'Done' },
      old(randomUUID(), 'archived', 4),
      old(randomUUID(), 'RUNNING?', 5),
    ],
    messages: [{ ...message, tokens_used: null, created_at: at(1), finished_at: null }],
    pending_changes: [
      { id: randomUUID(), session_id: session, task_id: task, file_path: '/srv/old/a', operation: 'edit', diff: '+a' },
    ],
  };
}

let database: LabDatabase;
let sql: Sql;
beforeEach(async () => {
  database = await emptyDatabase();
  ({ sql } = database);
});
afterEach(() => database.drop());

async function readBack(): Promise<Record<string, Row[]>> {
  const found: Record<string, Row[]> = {};
  for (const [table, columns] of Object.entries(COLUMNS)) {
    found[table] = [...(await sql<Row[]>`SELECT ${sql([...columns])} FROM ${sql(table)} ORDER BY 1`)];
  }
  return found;
}

async function idOfInsert(table: string, row: Row): Promise<unknown> {
  const [inserted] = await sql<{ id: unknown }[]>`INSERT INTO ${sql(table)} ${sql(row)} RETURNING id`;
  return inserted?.id;
}

describe.each([
  ['without keys or defaults', ''],
  ['with primary and foreign keys', KEYS],
])('a database that has the tables %s', (_, keys) => {
  let before: Record<string, Row[]>;
  let session: unknown;
  let project: unknown;
  beforeEach(async () => {
    await sql.unsafe(bareTables() + keys);
    const rows = oldRows();
    for (const [table, of] of Object.entries(rows)) await sql`INSERT INTO ${sql(table)} ${sql(of)}`;
    before = await readBack();
    session = before['sessions']?.[0]?.['id'];
    project = before['projects']?.[0]?.['id'];
    await migrate(sql);
  });

  test('keeps every row and every column as it was', async () => {
    expect(await readBack()).toEqual(before);
    for (const rows of Object.values(before)) expect(rows.length).toBeGreaterThan(0);
    expect(await migrate(sql)).toEqual([]);
  });

  test('accepts inserts with the old columns, and fills in missing ids and states', async () => {
    const full = before['tasks']?.[0] ?? {};
    expect(await idOfInsert('tasks', { ...full, id: randomUUID(), state: 'pending' })).toEqual(expect.any(String));
    for (const table of ['projects', 'sessions', 'chats', 'messages', 'pending_changes']) {
      const columns = Object.entries(before[table]?.[0] ?? {}).filter(([column]) => column !== 'id');
      expect(await idOfInsert(table, Object.fromEntries(columns))).toMatch(/^[0-9a-f-]{36}$/);
    }
    const [task] = await sql<Row[]>`
      INSERT INTO tasks (project_id, input) VALUES (${String(project)}, 'small') RETURNING id, state, phase, created_at`;
    expect(task).toEqual({
      id: expect.any(String) as string,
      state: 'pending',
      phase: 'queued',
      created_at: expect.any(Date) as Date,
    });
  });

  test('accepts a row with an explicit NULL as state and time', async () => {
    const row = { id: randomUUID(), project_id: project, input: 'spelled out', state: null, created_at: null } as Row;
    const [task] = await sql<Row[]>`INSERT INTO tasks ${sql(row)} RETURNING state, created_at`;
    expect(task).toEqual({ state: 'pending', created_at: expect.any(Date) as Date });
  });

  test('keeps unknown states of existing rows', async () => {
    await sql`UPDATE tasks SET output_summary = 'still mine' WHERE state = 'archived'`;
    await sql`UPDATE tasks SET state = 'completed' WHERE state = 'RUNNING?'`;
    const rows = await sql<Row[]>`SELECT state, output_summary FROM tasks ORDER BY created_at`;
    expect(rows.map((row) => row['state'])).toEqual(['completed', 'archived', 'completed']);
    expect(rows[1]?.['output_summary']).toBe('still mine');
  });

  test('refuses unknown states in new rows', async () => {
    const known = /expected pending, running, completed, failed or cancelled/;
    const insert = sql`INSERT INTO tasks (project_id, input, state) VALUES (${String(project)}, 'x', 'queued')`;
    await expect(insert).rejects.toThrow(known);
    await expect(sql`UPDATE tasks SET state = 'archived' WHERE state = 'RUNNING?'`).rejects.toThrow(known);
    await expect(sql`UPDATE tasks SET state = NULL WHERE state = 'RUNNING?'`).rejects.toThrow(known);
  });

  test('keeps its own agents and lists ours beside them', async () => {
    const claude = { name: 'claude', supports_acp: true, install_path: '/opt/claude', listed_by: null };
    await listAgent(sql, { name: 'claude', supports_acp: false });
    await listAgent(sql, { name: 'demo', supports_acp: false });
    await listAgent(sql, { name: 'demo', supports_acp: true });
    expect(await sql`SELECT * FROM available_agents ORDER BY name`).toEqual([
      claude,
      { name: 'demo', supports_acp: true, install_path: null, listed_by: 'longhaul' },
    ]);
  });

  test('runs one open task a session', async () => {
    const claim = () => sql`
      INSERT INTO tasks (project_id, session_id, input, claimed_at)
      VALUES (${String(project)}, ${String(session)}, 'x', now())`;
    await claim();
    await expect(claim()).rejects.toMatchObject({ code: '23505' });
  });
});

test('rows that violate a new key fail the migration and leave the database unchanged', async () => {
  await sql.unsafe(bareTables());
  const id = randomUUID();
  await sql`INSERT INTO tasks ${sql([
    { id, input: 'one' },
    { id, input: 'two' },
  ])}`;
  await expect(migrate(sql)).rejects.toMatchObject({ code: '23505' });
  const columns = await sql`SELECT FROM information_schema.columns WHERE table_name = 'tasks'`;
  expect(columns).toHaveLength(COLUMNS['tasks']?.length ?? 0);
  expect(await sql`SELECT FROM pg_tables WHERE schemaname = 'public'`).toHaveLength(7);
});

test('rows without a state are unchanged, because no caller submitted them to run', async () => {
  await sql.unsafe(bareTables());
  await sql`INSERT INTO tasks (id, input) VALUES (${randomUUID()}, 'from long ago')`;
  await migrate(sql);
  const [row] = await sql`SELECT state FROM tasks`;
  expect(row).toEqual({ state: null });
});
