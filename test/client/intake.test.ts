import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { cancel } from '../../client/cancel.ts';
import { type Intake, startIntake } from '../../client/intake.ts';
import { settleLostRuns } from '../../client/settle-lost-runs.ts';
import { connectTemporal, type TemporalLink } from '../../client/temporal.ts';
import { claimTasks } from '../../store/queue.ts';
import { connect, type Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { settleWorkflowId, taskWorkflowId } from '../../contract/names.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { type LabTemporal, labTemporal } from '../lab/temporal.ts';

// No worker runs here: what counts is who starts what, and when. A task's end is written as its steps do.
let server: LabTemporal;
let link: TemporalLink;
let temporal: Client;
let database: LabDatabase;
let sql: Sql;
let projectId: string;
const silent = { info() {}, warn() {}, error() {} };
const intakes: { intake: Intake; stop: AbortController }[] = [];

beforeAll(async () => {
  server = await labTemporal();
  link = connectTemporal(server.target);
  temporal = link.client;
});
afterAll(async () => {
  await link.close();
  await server.remove();
});
beforeEach(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  const [project] = await sql<
    { id: string }[]
  >`INSERT INTO projects (name, path) VALUES ('sample', '/nowhere') RETURNING id`;
  projectId = project?.id ?? '';
});
afterEach(async () => {
  for (const { intake, stop } of intakes.splice(0)) {
    stop.abort();
    await intake.ended;
  }
  await database.drop();
});

function startOne(db = sql, host = 'lab'): Intake {
  const stop = new AbortController();
  const intake = startIntake({ sql: db, temporal, host, log: silent, signal: stop.signal });
  intakes.push({ intake, stop });
  return intake;
}

interface Extra {
  readonly session_id?: string;
  readonly queue_position?: number;
  readonly agent?: string;
  readonly priority?: number;
  readonly input?: string;
  readonly state?: string;
}

/** As any SQL program would. */
async function insert(extra: Extra = {}): Promise<TaskId> {
  const row = { project_id: projectId, input: 'do it', ...extra };
  const [task] = await sql<{ id: TaskId }[]>`INSERT INTO tasks ${sql(row)} RETURNING id`;
  if (!task) throw new Error('nothing inserted');
  return task.id;
}

async function rowOf(id: TaskId) {
  const [row] = await sql<
    { state: string; run_id: string | null; claimed_at: Date | null; output_summary: string | null }[]
  >`
    SELECT state, run_id, claimed_at, output_summary FROM tasks WHERE id = ${id}`;
  return row;
}

const started = (id: TaskId) => expect.poll(async () => (await rowOf(id))?.run_id).toBeTruthy();
const finish = (id: TaskId) => sql`UPDATE tasks SET state = 'completed', ended_at = clock_timestamp() WHERE id = ${id}`;

test('a row that a program inserts is started at once, and the Web UI describes it', async () => {
  const intake = startOne();
  await intake.working;
  const insertedAt = performance.now();
  const id = await insert({ agent: 'demo', priority: 2, input: '\n  Say hello\nand more' });
  await expect.poll(async () => (await rowOf(id))?.run_id, { interval: 5 }).toBeTruthy();
  const tookMs = performance.now() - insertedAt;
  const run = await temporal.workflow.getHandle(taskWorkflowId(id)).describe();
  expect(run.runId).toBe((await rowOf(id))?.run_id);
  expect(run.type).toBe('task');
  expect(run.priority?.priorityKey).toBe(2);
  expect(await run.staticSummary()).toBe('Say hello');
  const attributes = run.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]);
  expect(Object.fromEntries(attributes)).toMatchObject({
    LonghaulProject: 'sample',
    LonghaulAgent: 'demo',
    LonghaulPhase: 'queued',
  });
  // Far below the sweep: the trigger's notice did it.
  expect(tookMs).toBeLessThan(1_500);
});

test('forty tasks between two intakes start exactly once each', async () => {
  startOne();
  startOne();
  const ids = await Promise.all(Array.from({ length: 40 }, () => insert()));
  for (const id of ids) await started(id);
  for (const id of ids) {
    const row = await rowOf(id);
    const { runId } = await temporal.workflow.getHandle(taskWorkflowId(id)).describe();
    expect(row).toMatchObject({ state: 'pending', run_id: runId });
  }
});

test('tasks of a session start one after another, by queue position, then age', async () => {
  const session_id = randomUUID();
  const third = await insert({ session_id, queue_position: 5 });
  const first = await insert({ session_id });
  const second = await insert({ session_id });
  startOne();
  startOne();
  const order: TaskId[] = [];
  for (let i = 0; i < 3; i++) {
    const open = await expect
      .poll(() => sql<{ id: TaskId }[]>`SELECT id FROM tasks WHERE run_id IS NOT NULL AND ended_at IS NULL`)
      .toHaveLength(1)
      .then(() => sql<{ id: TaskId }[]>`SELECT id FROM tasks WHERE run_id IS NOT NULL AND ended_at IS NULL`);
    const id = open[0]?.id;
    if (!id) throw new Error('no open task');
    order.push(id);
    await finish(id);
  }
  expect(order).toEqual([first, second, third]);
});

test('a claim on a session excludes every other claimant', async () => {
  const session_id = randomUUID();
  await Promise.all(Array.from({ length: 5 }, () => insert({ session_id })));
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimTasks(sql, 10)));
  expect(claims.flat()).toHaveLength(1);
});

test('a claim that loses to an uncommitted one claims nothing and causes no error', async () => {
  const session_id = randomUUID();
  await insert({ session_id });
  const second = await insert({ session_id });
  const losing = await sql.begin(async (tx) => {
    await tx`UPDATE tasks SET claimed_at = now() WHERE id = ${second}`;
    const claim = claimTasks(sql, 10);
    const blocked = () =>
      sql`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
    await expect.poll(blocked).toHaveLength(1);
    return { claim };
  });
  expect(await losing.claim).toEqual([]);
});

test('while Temporal is unavailable rows stay pending; they start afterwards', async () => {
  const intake = startOne();
  await intake.working;
  await server.stop();
  try {
    const ids = await Promise.all(Array.from({ length: 15 }, () => insert()));
    await expect.poll(() => intake.trouble()).toBeTruthy();
    const unclaimed = await insert();
    const cancelled = await insert();
    // `recorded`: at that moment a start was being tried; the cancel is carried out as soon as that has failed.
    expect((await cancel({ sql, temporal }, cancelled)).kind).toMatch(/^(cancelled|recorded)$/);
    await expect.poll(async () => (await rowOf(cancelled))?.state).toBe('cancelled');
    const claims = () => sql`SELECT FROM tasks WHERE claimed_at IS NOT NULL`;
    await expect.poll(claims).toHaveLength(0);
    for (const id of [...ids, unclaimed]) expect(await rowOf(id)).toMatchObject({ state: 'pending', run_id: null });
    await server.start();
    for (const id of [...ids, unclaimed]) await expect.poll(async () => (await rowOf(id))?.run_id).toBeTruthy();
    expect(intake.trouble()).toBeUndefined();
  } finally {
    await server.start();
  }
});

test('a claim whose process died is taken over, whether or not the run was started', async () => {
  const never = await insert();
  const begun = await insert();
  await claimTasks(sql, 2);
  const { firstExecutionRunId } = await temporal.workflow.start('task', {
    taskQueue: 'longhaul',
    workflowId: taskWorkflowId(begun),
    args: [{ taskId: begun, host: 'lab' }],
  });
  await sql`UPDATE tasks SET claimed_at = clock_timestamp() - interval '1 minute'`;
  startOne();
  await started(never);
  await started(begun);
  expect((await rowOf(begun))?.run_id).toBe(firstExecutionRunId);
});

test('a cancel that a SQL program writes ends a waiting task and reaches a running one', async () => {
  const session_id = randomUUID();
  const running = await insert({ session_id });
  startOne();
  await started(running);
  const waiting = await insert({ session_id });
  await sql`UPDATE tasks SET cancel_requested_at = now(), cancel_reason = 'wrong repo' WHERE id IN ${sql([running, waiting])}`;
  await expect.poll(async () => (await rowOf(waiting))?.state).toBe('cancelled');
  expect((await rowOf(waiting))?.output_summary).toBe('Cancelled before it started: wrong repo');
  await expect.poll(() => signalsOf(running)).toEqual(['cancelTask']);
});

async function signalsOf(id: TaskId): Promise<string[]> {
  const { events } = await temporal.workflow.getHandle(taskWorkflowId(id)).fetchHistory();
  return (events ?? []).flatMap((event) => event.workflowExecutionSignaledEventAttributes?.signalName ?? []);
}

test('an open row whose run was terminated gets a settlement, once; a running one none', async () => {
  const stopped = await insert();
  const wanted = await insert();
  const fine = await insert();
  startOne();
  for (const id of [stopped, wanted, fine]) await started(id);
  await sql`UPDATE tasks SET cancel_requested_at = now() WHERE id = ${wanted}`;
  for (const id of [stopped, wanted]) await temporal.workflow.getHandle(taskWorkflowId(id)).terminate();
  await sql.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(4706003)`;
    expect(await settleLostRuns({ sql, temporal, host: 'lab', log: silent })).toBe(0);
  });
  const counts = await Promise.all([1, 2, 3].map(() => settleLostRuns({ sql, temporal, host: 'lab', log: silent })));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2);
  expect(await settleLostRuns({ sql, temporal, host: 'lab', log: silent })).toBe(0);
  const endOf = async (id: TaskId): Promise<unknown> => {
    const { events } = await temporal.workflow.getHandle(settleWorkflowId(id)).fetchHistory();
    const data = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
    return (JSON.parse(Buffer.from(data ?? []).toString('utf8')) as { end: unknown }).end;
  };
  expect(await endOf(stopped)).toMatchObject({ state: 'failed', code: 'terminated' });
  expect(await endOf(wanted)).toEqual({ state: 'cancelled' });
  await expect(temporal.workflow.getHandle(settleWorkflowId(fine)).describe()).rejects.toThrow(/not found/i);
});

test('rows with a reason or a run id of any length are settled as all others', async () => {
  const ids = await Promise.all(Array.from({ length: 11 }, () => insert()));
  const [longId, strange, ...longReason] = ids;
  await sql`UPDATE tasks SET state = 'running', run_id = ${randomUUID()},
                             cancel_requested_at = now(), cancel_reason = repeat('x', 3000000)
             WHERE id = ANY (${longReason})`;
  await sql`UPDATE tasks SET state = 'running', run_id = 'no run''s id' WHERE id = ${strange ?? ''}`;
  await sql`UPDATE tasks SET state = 'running', run_id = repeat('x', 3000000) WHERE id = ${longId ?? ''}`;
  const said: object[] = [];
  const log = { error: (fields: object) => void said.push(fields) };
  expect(await settleLostRuns({ sql, temporal, host: 'lab', log })).toBe(ids.length);
  for (const id of ids) {
    expect((await temporal.workflow.getHandle(settleWorkflowId(id)).describe()).status.name).toBe('RUNNING');
  }
  expect(said).toEqual([]);
});

test('an open row whose run Temporal has lost gets a new run, or a settlement if its cancel was requested', async () => {
  const [forgotten, unwanted] = [await insert(), await insert()];
  const lost = randomUUID();
  await sql`UPDATE tasks SET state = 'running', run_id = ${lost}, claimed_at = now()`;
  await sql`UPDATE tasks SET cancel_requested_at = now() WHERE id = ${unwanted}`;
  startOne();
  await expect.poll(async () => (await rowOf(forgotten))?.run_id).not.toBe(lost);
  await started(forgotten);
  const { status, runId } = await temporal.workflow.getHandle(taskWorkflowId(forgotten)).describe();
  expect({ status: status.name, runId }).toEqual({ status: 'RUNNING', runId: (await rowOf(forgotten))?.run_id });
  const settlement = temporal.workflow.getHandle(settleWorkflowId(unwanted));
  await expect.poll(async () => (await settlement.describe()).status.name).toBe('RUNNING');
  expect(await rowOf(unwanted)).toMatchObject({ run_id: lost });
});

test('a row inserted as running, without a run, can be cancelled at once and is otherwise ended by the next check', async () => {
  const asked = await insert({ state: 'running' });
  const wished = await insert({ state: 'running' });
  const left = await insert({ state: 'running' });
  const claimed = await insert({ state: 'running' });
  await sql`UPDATE tasks SET claimed_at = now() WHERE id = ${claimed}`;
  expect(await cancel({ sql, temporal }, asked)).toEqual({ kind: 'cancelled' });
  await sql`UPDATE tasks SET cancel_requested_at = now() WHERE id = ${wished}`;
  expect(await settleLostRuns({ sql, temporal, host: 'lab', log: silent })).toBe(1);
  expect(await rowOf(left)).toMatchObject({ state: 'failed', output_summary: expect.stringMatching(/had no run/) });
  // Another intake is about to start it.
  expect(await rowOf(claimed)).toMatchObject({ state: 'running' });
  startOne();
  await expect.poll(async () => (await rowOf(wished))?.state).toBe('cancelled');
  expect((await rowOf(asked))?.state).toBe('cancelled');
});

test('a cancel reaches a task that has a run id but no claim', async () => {
  const id = await insert();
  startOne();
  await started(id);
  await sql`UPDATE tasks SET claimed_at = NULL WHERE id = ${id}`;
  await sql`UPDATE tasks SET cancel_requested_at = now() WHERE id = ${id}`;
  await expect.poll(() => signalsOf(id)).toEqual(['cancelTask']);
  expect((await rowOf(id))?.state).toBe('pending');
});

test('tasks with names longer than Temporal can search for still start', async () => {
  const agent = `${'x'.repeat(254)}😀and more`.padEnd(3_000, 'x');
  await sql`UPDATE projects SET name = ${'y'.repeat(3_000)}`;
  const id = await insert({ agent });
  startOne();
  await started(id);
  const run = await temporal.workflow.getHandle(taskWorkflowId(id)).describe();
  const attributes = run.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]);
  expect(Object.fromEntries(attributes)).toMatchObject({
    LonghaulProject: 'y'.repeat(255),
    LonghaulAgent: 'x'.repeat(254),
  });
});

test('terminating every Postgres connection only delays a start', async () => {
  const own = connect(database.url, { applicationName: 'intake' });
  const intake = startOne(own);
  await intake.working;
  for (let i = 0; i < 5; i++) {
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'intake'`;
    await started(await insert());
  }
  await expect.poll(() => intake.trouble()).toBeUndefined();
  for (const { intake, stop } of intakes.splice(0)) {
    stop.abort();
    await intake.ended;
  }
  await own.end({ timeout: 1 });
});

test('a task that Temporal refuses permanently fails with the reason', async () => {
  const id = await insert();
  // Too long an input of the workflow.
  startOne(sql, 'x'.repeat(3_000_000));
  await expect.poll(async () => (await rowOf(id))?.state).toBe('failed');
  expect((await rowOf(id))?.output_summary).toMatch(/^Temporal refuses to start this task: /);
});

test('while Temporal hangs, cancel requests delay neither other tasks nor a stop', async () => {
  const ids = await Promise.all(Array.from({ length: 24 }, () => insert()));
  const intake = startOne();
  for (const id of ids) await started(id);
  await server.suspend();
  try {
    await sql`UPDATE tasks SET cancel_requested_at = now() - interval '5 seconds' WHERE id = ANY (${ids})`;
    const unstarted = await insert();
    // Claimed or not when Temporal began to hang: it is given back, and its cancel carried out.
    await sql`UPDATE tasks SET cancel_requested_at = now() WHERE id = ${unstarted}`;
    await expect.poll(async () => (await rowOf(unstarted))?.state).toBe('cancelled');
    const stoppedAt = performance.now();
    for (const { stop } of intakes.splice(0)) stop.abort();
    await intake.ended;
    // One call by one would take two minutes.
    expect(performance.now() - stoppedAt).toBeLessThan(4_000);
  } finally {
    server.resume();
  }
});
