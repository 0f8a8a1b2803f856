/** Postgres or Temporal is unavailable or hangs: the caller soon gets a problem document. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TcpProxy, tcpProxy } from '../lab/tcp-proxy.ts';
import { hold } from '../lab/until.ts';
import { type LabServer, startServer } from './lab.ts';

const PATIENCE_MS = 2_000;

let server: LabServer;
let proxy: TcpProxy;
beforeAll(async () => {
  server = await startServer({
    responseTimeoutMs: PATIENCE_MS,
    // No process listens there.
    temporalAddress: '127.0.0.1:1',
    databaseUrl: async (url) => {
      proxy = await tcpProxy(url);
      return proxy.url;
    },
  });
});
afterAll(async () => {
  await server.close();
  await proxy.close();
});

const newTask = () => ({ project_path: server.repository, input: 'x', agent: 'demo' });
const unreachable = { status: 503, body: { error_code: 'service_unreachable', retryable: true } };

async function everything(): Promise<{ path: string; status: number; code: unknown; ms: number }[]> {
  const id = '00000000-0000-4000-8000-000000000000';
  const reads = [
    'tasks',
    `tasks/${id}`,
    'projects',
    'sessions',
    `sessions/${id}`,
    'changes',
    `changes/${id}`,
    'agents',
  ];
  const asks = [
    ...reads.map((path) => [path, () => server.get(`/api/${path}`)] as const),
    ['POST tasks', () => server.post('/api/tasks', newTask())] as const,
    ['POST tasks, with a key', () => server.post('/api/tasks', newTask(), { 'idempotency-key': 'k' })] as const,
    ['POST cancel', () => server.post(`/api/tasks/${id}/cancel`)] as const,
    ['POST projects', () => server.post('/api/projects', { path: server.repository })] as const,
  ];
  return Promise.all(
    asks.map(async ([path, ask]) => {
      const startedAt = performance.now();
      const { status, body } = await ask();
      return { path, status, code: body['error_code'], ms: performance.now() - startedAt };
    }),
  );
}

test('while Postgres hangs every request gets a response in time, and works again afterwards', async () => {
  expect((await server.get('/api/agents')).status).toBe(200);
  proxy.loseAnswers();
  for (const { path, status, code, ms } of await everything()) {
    expect([path, status, code]).toEqual([path, 503, 'service_unreachable']);
    expect(ms).toBeLessThan(5 * PATIENCE_MS); // what hangs would take for ever; a busy machine takes a while
  }
  const metrics = await server.get('/metrics');
  expect(metrics).toMatchObject({ status: 200, text: expect.stringMatching(/^longhaul_postgres_up 0$/m) as string });
  expect((await server.get('/healthz')).status).toBe(200);
  proxy.cut();
  // The driver's connections come back one by one.
  const faults = async () => (await everything()).filter(({ status }) => status >= 500);
  await expect.poll(faults).toEqual([]);
});

test('a 503 states that the request may have been carried out, and what to do', async () => {
  const lock = await hold(server.sql, (tx) => tx`LOCK TABLE tasks, projects IN ACCESS EXCLUSIVE MODE`);
  try {
    const key = { 'idempotency-key': 'perhaps' };
    const cancel = `/api/tasks/00000000-0000-4000-8000-000000000000/cancel`;
    const [withKey, without, cancelled, project, read] = await Promise.all([
      server.post('/api/tasks', newTask(), key),
      server.post('/api/tasks', newTask()),
      server.post(cancel),
      server.post('/api/projects', { path: server.repository }),
      server.get('/api/tasks'),
    ]);
    for (const answer of [withKey, without, cancelled, project, read]) expect(answer).toMatchObject(unreachable);
    const perhaps = 'may have been carried out nevertheless';
    expect(withKey.body['detail']).toMatch(new RegExp(`${perhaps}. Send it again with the same Idempotency-Key`));
    expect(without.body['detail']).toMatch(new RegExp(`${perhaps}. Look for its task`));
    expect(cancelled.body['detail']).toMatch(new RegExp(`${perhaps}. It may be sent again`));
    expect(project.body['detail']).toMatch(new RegExp(`${perhaps}. It may be sent again`));
    expect(read.body['detail']).not.toContain(perhaps);
  } finally {
    await lock.release();
  }
});

test('while a table is locked, requests that need it get a 503 and others are served', async () => {
  const lock = await hold(server.sql, (tx) => tx`LOCK TABLE available_agents IN ACCESS EXCLUSIVE MODE`);
  try {
    expect(await server.get('/api/agents')).toMatchObject(unreachable);
    expect((await server.get('/api/tasks')).status).toBe(200);
  } finally {
    await lock.release();
  }
  expect((await server.get('/api/agents')).status).toBe(200);
});

test('while Temporal is unavailable tasks are accepted and wait, and a cancel request is stored', async () => {
  const made = await server.post('/api/tasks', newTask());
  expect(made).toMatchObject({ status: 201, body: { state: 'pending' } });
  const id = String(made.body['id']);
  // As if it had a run.
  await server.sql`UPDATE tasks SET claimed_at = now(), run_id = 'r' WHERE id = ${id}`;
  const wished = await server.post(`/api/tasks/${id}/cancel`, { reason: 'no more' });
  expect(wished).toMatchObject({ status: 202, body: { outcome: 'recorded' } });
  expect(await server.get(`/api/tasks/${id}`)).toMatchObject({ body: { cancel_reason: 'no more', actions: [] } });
});

test("while no process listens on Postgres' port every request gets a response in time", async () => {
  await proxy.close();
  for (const { path, status, code, ms } of await everything()) {
    expect([path, status, code]).toEqual([path, 503, 'service_unreachable']);
    expect(ms).toBeLessThan(5 * PATIENCE_MS); // what hangs would take for ever; a busy machine takes a while
  }
  const ready = await server.get('/readyz');
  expect(ready).toMatchObject({ status: 503, body: { ready: false, parts: { postgres: { ok: false } } } });
});
