/** Any program may write any row. None makes a list fail, and none keeps another task from starting. */
import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tableText } from '../../cli/task-text.ts';
import { cancelBeforeStart } from '../../client/cancel.ts';
import { listTasks } from '../../client/tasks.ts';
import { compactFrames } from '../../frames/compact.ts';
import { keptFrames } from '../../frames/kept-frames.ts';
import { readPages } from '../../frames/page.ts';
import { foldMessage } from '../../frames/read-message.ts';
import { takeSnapshot } from '../../frames/snapshot.ts';
import { waitingTasks } from '../../store/left-tasks.ts';
import {
  cancelsBeforeStart,
  cancelsToSignal,
  claimTasks,
  closeEndedClaims,
  openRuns,
  runningWithoutRun,
  takeStaleClaims,
} from '../../store/queue.ts';
import { taskProgress } from '../../store/task-views.ts';
import type { MessageId, SessionId, TaskId } from '../../contract/ids.ts';
import { type Answer, type LabServer, startServer } from './lab.ts';

/** LONGHAUL_FUZZ_RUNS makes it longer; a failure prints its seed. */
const RUNS = Number(process.env['LONGHAUL_FUZZ_RUNS'] ?? 15);

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const [GOOD_PROJECT, GOOD_SESSION] = [randomUUID(), randomUUID()];
const [BAD_SESSION, BAD_TASK, BAD_MESSAGE] = [randomUUID(), randomUUID(), randomUUID()];

const time = fc.constantFrom(
  'infinity',
  '-infinity',
  '294276-12-31 23:59:59+00',
  '4713-01-01 00:00:00+00 BC',
  '2999-01-01',
  '1970-01-01',
  null,
);
const text = fc.constantFrom(null, '', '\u0001\u001b[2J', '\u{1f600}', 'unknown', '../x', 'x'.repeat(5_500));
const int8 = fc.constantFrom('-9223372036854775808', '9223372036854775807', '-1', '0', '9007199254740993', null);
const json = fc.constantFrom<unknown>(null, 5, 'x', {}, [], [null], [{ path: 5 }], { status: 'open' });
const id = fc.constantFrom(null, randomUUID(), BAD_SESSION, BAD_TASK, GOOD_PROJECT);
const small = fc.constantFrom(9, -32_768, 32_767, 0, null);
const state = fc.constantFrom(
  'pending',
  'running',
  'completed',
  'failed',
  'cancelled',
  'paused',
  null,
  'x'.repeat(300),
);
const bool = fc.constantFrom(true, false, null);

const task = fc.record({
  id: fc.constantFrom(BAD_TASK, randomUUID(), randomUUID()),
  project_id: id,
  session_id: id,
  chat_id: id,
  message_id: id,
  state,
  priority: small,
  input: text,
  agent: text,
  model: text,
  mode_id: text,
  thinking_option_id: text,
  execution_path: text,
  output_summary: text,
  error_code: text,
  permission_policy: text,
  run_id: text,
  cancel_reason: text,
  host: text,
  worktree_path: text,
  base_commit: text,
  kept_worktree: text,
  created_at: time,
  started_at: time,
  ended_at: time,
  claimed_at: time,
  cancel_requested_at: time,
  waits_until: time,
  cost_tokens: int8,
  phase: text.map((value) => value ?? ''),
  queue_position: int8.map((value) => value ?? '0'),
});
const session = fc.record({
  id: fc.constantFrom(BAD_SESSION, randomUUID()),
  project_id: id,
  name: text,
  model: text,
  status: text,
  created_at: time.map((value) => value ?? 'now'),
  seq: int8.map((value) => value ?? '0'),
  written: int8.map((value) => value ?? '0'),
  writer: id,
  compacted_seq: int8.map((value) => value ?? '0'),
});
const segments = fc.constantFrom<unknown>(
  [{ type: 'text' }],
  [{ type: 'x', seq: -1, at: 5 }],
  [{ type: 'text', text: 5, seq: 1, at: 'x' }],
  { 0: 1 },
);
const message = fc.record({
  id: fc.constantFrom(BAD_MESSAGE, randomUUID()),
  session_id: fc.constant(BAD_SESSION),
  chat_id: id,
  task_id: id,
  role: text,
  content: text,
  reasoning: text,
  status: fc.constantFrom('streaming', 'complete', null, 'x'),
  tokens_used: int8,
  total_chars: int8,
  created_at: time,
  finished_at: time,
  tool_calls: json,
  plan: json,
  segments: fc.oneof(json, segments),
  truncated: fc.boolean(),
});
const change = fc.record({
  id: fc.uuid(),
  session_id: fc.constantFrom(BAD_SESSION, randomUUID(), null),
  task_id: id,
  file_path: text,
  operation: text,
  diff: text,
  state: fc.constantFrom('pending', 'x'),
  partial: fc.boolean(),
  base_commit: text,
  result_commit: text,
  files: json,
  ignored_files: json,
  additions: small,
  deletions: small,
  created_at: time.map((value) => value ?? 'now'),
});
const project = fc.record({ id: fc.uuid(), name: text, path: text, created_at: time.map((value) => value ?? 'now') });
const agent = fc.record({
  name: fc.constantFrom('', '\u0001', 'x'.repeat(2_000), 'two\nlines'),
  supports_acp: bool,
  install_path: text,
  listed_by: text,
});
const frame = fc.record({
  session_id: fc.constant(BAD_SESSION),
  seq: fc.integer({ min: 1, max: 5 }),
  type: fc.constantFrom(
    'delta',
    'tool_call',
    'plan',
    'task_state',
    'warning',
    'agent_commands',
    'usage',
    'message',
    'x',
  ),
  task_id: id,
  at: fc.constantFrom('now', 'infinity'),
  body: fc.oneof(
    json.map((value) => value ?? {}),
    fc.record({
      message_id: fc.constantFrom(BAD_MESSAGE, BAD_TASK, 5),
      content: json,
      call: json,
      entries: json,
      attempt: json,
      commands: json,
      usage: json,
      seq: json,
      message: json,
    }),
  ),
  key: fc.constant(null),
});

const permission = fc.record({
  id: fc.uuid(),
  task_id: fc.constant(BAD_TASK),
  session_id: fc.constant(BAD_SESSION),
  state: fc.constantFrom('pending', 'x'),
  options: json.map((value) => value ?? 5),
  tool_call: json,
});

const rows = fc.record({
  // Some databases were restored, or are replicas, without their triggers.
  triggers: fc.boolean(),
  tables: fc.record({
    tasks: fc.uniqueArray(task, { minLength: 1, maxLength: 3, selector: (row) => row.id }),
    sessions: fc.uniqueArray(session, { maxLength: 2, selector: (row) => row.id }),
    messages: fc.uniqueArray(message, { maxLength: 2, selector: (row) => row.id }),
    pending_changes: fc.array(change, { maxLength: 2 }),
    projects: fc.array(project, { maxLength: 1 }),
    available_agents: fc.array(agent, { maxLength: 1 }),
    permissions: fc.array(permission, { maxLength: 2 }),
    frames: fc.uniqueArray(frame, { maxLength: 4, selector: (row) => row.seq }),
  }),
});

/** SQLSTATE of a row that breaks a constraint. */
const REFUSED = ['23502', '23503', '23505', '23514'];

async function write({ triggers, tables }: typeof rows extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
  await server.sql.begin(async (tx) => {
    await tx`TRUNCATE tasks, sessions, messages, pending_changes, projects, available_agents, permissions, frames CASCADE`;
    if (!triggers) await tx`SET LOCAL session_replication_role = replica`;
    for (const [table, list] of Object.entries(tables)) {
      for (const row of list) {
        // A row that the database refuses is none.
        await tx
          .savepoint(
            (inner) =>
              inner`INSERT INTO ${inner(table)} SELECT * FROM jsonb_populate_record(NULL::${inner(table)}, ${JSON.stringify(row)}::text::jsonb)`,
          )
          .catch((error: { code?: string }) => {
            if (!REFUSED.includes(error.code ?? '')) throw error;
          });
      }
    }
    await tx`INSERT INTO projects (id, name, path) VALUES (${GOOD_PROJECT}, 'good', '/nowhere')`;
  });
}

const said = (answer: Answer): string => `${answer.text.slice(0, 500)}\n${server.log.slice(-3).join('')}`;

/** Every page, each item once. */
async function walk(path: string): Promise<Record<string, unknown>[]> {
  const items: Record<string, unknown>[] = [];
  let cursor: string | null = null;
  do {
    const page = await server.get(`${path}?limit=2${cursor ? `&cursor=${cursor}` : ''}`);
    expect(page, said(page)).toMatchObject({ status: 200 });
    items.push(...(page.body['items'] as Record<string, unknown>[]));
    cursor = page.body['next_cursor'] as string | null;
  } while (cursor !== null && items.length < 100);
  expect(new Set(items.map((item) => item['id'])).size).toBe(items.length);
  return items;
}

async function everyReaderAnswers(): Promise<void> {
  for (const path of ['/api/tasks', '/api/changes', '/api/sessions']) {
    for (const { id: one } of await walk(path)) {
      const shown = await server.get(`${path}/${String(one)}`);
      expect(shown, said(shown)).toMatchObject({ status: 200 });
    }
  }
  await walk('/api/projects');
  expect(await server.get('/api/agents')).toMatchObject({ status: 200 });
  const metrics = await server.get('/metrics');
  expect(metrics.text).not.toMatch(/ (NaN|[+-]?Inf)$/m);
  const { sql } = server;
  const listed = tableText(await listTasks({ sql }, { limit: 20 }), {
    columns: 80,
    now: Date.now(),
    paint: (_style, shown) => shown,
  });
  expect(listed).not.toContain('NaN');
  expect(listed).not.toContain('\u001b');
  await waitingTasks(sql, { longSeconds: 60, silentSeconds: 60 });
  for (const { id: one } of await sql<{ id: TaskId }[]>`SELECT id FROM tasks`) await taskProgress(sql, one);
  const [page] = await readPages(sql, [{ sessionId: BAD_SESSION as SessionId, after: 0 }]);
  if (page?.kind === 'read' && page.page) {
    for (const { seq } of page.page.frames()) expect(Number.isInteger(seq)).toBe(true);
    expect(JSON.parse(page.page.json().toString())).toBeInstanceOf(Array);
  }
  const snapshot = await takeSnapshot(sql, BAD_SESSION as SessionId);
  for (const { id: one } of snapshot ? await sql<{ id: TaskId }[]>`SELECT id FROM tasks` : []) {
    await keptFrames(sql, { sessionId: BAD_SESSION as SessionId, taskId: one, upTo: 10 });
  }
  await sql.begin(async (tx) => {
    await foldMessage(tx, { sessionId: BAD_SESSION as SessionId, messageId: BAD_MESSAGE as MessageId });
  });
  await compactFrames(sql);
}

/** As a pass of intake. Returns what it starts. */
async function intakePass(): Promise<TaskId[]> {
  const { sql } = server;
  await closeEndedClaims(sql);
  for (const { id: one, reason } of await cancelsBeforeStart(sql))
    await cancelBeforeStart(sql, one, reason ?? undefined);
  await Promise.all([cancelsToSignal(sql), openRuns(sql), runningWithoutRun(sql)]);
  const started = [...(await claimTasks(sql, 10)), ...(await takeStaleClaims(sql, 10))];
  return started.map((one) => one.id);
}

test(
  'with any row that a program writes, lists respond and other tasks start',
  async () => {
    await fc.assert(
      fc.asyncProperty(rows, async (bad) => {
        await write(bad);
        const [alone, inSession] = [randomUUID(), randomUUID()];
        await server.sql`INSERT INTO sessions (id, project_id) VALUES (${GOOD_SESSION}, ${GOOD_PROJECT})`;
        await server.sql`INSERT INTO tasks (id, project_id, input, session_id)
                       VALUES (${alone}, ${GOOD_PROJECT}, 'good', NULL), (${inSession}, ${GOOD_PROJECT}, 'good', ${GOOD_SESSION})`;
        await everyReaderAnswers();
        expect(await intakePass()).toEqual(expect.arrayContaining([alone, inSession]));
        await everyReaderAnswers();
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  },
  RUNS * 10_000,
);
