import { afterAll, beforeAll, expect, test } from 'vitest';
import { putWorkerMetrics } from '../../store/worker-metrics.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

/** One value of a metric, by name and labels as they are written. */
function valueOf(text: string, name: string): number | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

test('tasks are counted by state, with how long the oldest has waited, and requests by route', async () => {
  await server.sql`INSERT INTO tasks (input, created_at) VALUES ('a', now() - interval '1 hour'), ('b', now())`;
  await server.sql`INSERT INTO tasks (input, state) VALUES ('c', 'completed')`;
  await server.get('/api/agents');
  await server.get('/api/tasks/1');
  const { text, headers } = await server.get('/metrics');
  expect(headers.get('content-type')).toContain('text/plain');
  expect(valueOf(text, 'longhaul_tasks{state="pending"}')).toBe(2);
  expect(valueOf(text, 'longhaul_tasks{state="completed"}')).toBe(1);
  expect(valueOf(text, 'longhaul_oldest_pending_task_seconds')).toBeGreaterThan(3_590);
  expect(valueOf(text, 'longhaul_postgres_up')).toBe(1);
  expect(valueOf(text, 'longhaul_intake_up')).toBe(1);
  expect(valueOf(text, 'longhaul_sockets')).toBe(0);
  expect(valueOf(text, 'longhaul_http_request_seconds_count{method="GET",route="/api/agents",status="200"}')).toBe(1);
  expect(valueOf(text, 'longhaul_http_request_seconds_count{method="GET",route="/api/tasks/:id",status="400"}')).toBe(
    1,
  );
  expect(valueOf(text, 'process_cpu_seconds_total')).toBeGreaterThan(0);
  await server.sql`DELETE FROM tasks`;
  const { text: later } = await server.get('/metrics');
  expect(valueOf(later, 'longhaul_tasks{state="pending"}')).toBeUndefined();
  expect(valueOf(later, 'longhaul_oldest_pending_task_seconds')).toBe(0);
});

test('the metrics of workers are included, each under one header, until a worker stops exporting', async () => {
  const said = (worker: number, count: number): string =>
    `# HELP longhaul_said How much.\n# TYPE longhaul_said counter\nlonghaul_said{worker="${worker}"} ${count}\n` +
    `# TYPE longhaul_done counter\nlonghaul_done{worker="${worker}"} 1`;
  await putWorkerMetrics(server.sql, 'lab/1', said(1, 7));
  await putWorkerMetrics(server.sql, 'lab/2', said(2, 8));
  const { text } = await server.get('/metrics');
  expect(text).toContain(
    '# HELP longhaul_said How much.\n# TYPE longhaul_said counter\nlonghaul_said{worker="1"} 7\nlonghaul_said{worker="2"} 8\n' +
      '# TYPE longhaul_done counter\nlonghaul_done{worker="1"} 1\nlonghaul_done{worker="2"} 1',
  );
  await server.sql`UPDATE worker_metrics SET at = now() - interval '2 minutes'`;
  expect((await server.get('/metrics')).text).not.toContain('longhaul_said');
  await server.sql`UPDATE worker_metrics SET at = now() - interval '2 hours'`;
  await putWorkerMetrics(server.sql, 'lab/3', '');
  expect(await server.sql`SELECT host FROM worker_metrics`).toEqual([{ host: 'lab/3' }]);
});

test("a worker counts its steps, the waits of tasks, failures by code, and Temporal's slots", async () => {
  const lab: Lab = await startLab();
  try {
    const worker = await lab.startWorker();
    const fine = await lab.submit({ input: 'write a.txt with a' });
    const crashed = await lab.submit({ input: 'crash' });
    for (const task of [fine, crashed]) await lab.ended(task);
    const metrics = await lab.until('metrics with both tasks', async () => {
      const [row] = await lab.sql<
        { metrics: string }[]
      >`SELECT metrics FROM worker_metrics WHERE host = ${`lab/${worker.pid}`}`;
      return (
        /longhaul_step_duration_seconds_count\{[^}]*step="finishTask"[^}]*\} 2$/m.test(row?.metrics ?? '') &&
        row?.metrics
      );
    });
    expect(metrics).toMatch(/^longhaul_task_queue_wait_seconds_count\{[^}]*\} 2$/m);
    expect(metrics).toMatch(
      /^longhaul_step_duration_seconds_bucket\{[^}]*outcome="done"[^}]*step="dispatchAgent"[^}]*le="0\.005"\} \d+$/m,
    );
    // Three attempts: the first, and two that try again.
    expect(metrics).toMatch(
      /^longhaul_step_failures_total\{[^}]*error_code="agent_crashed"[^}]*step="dispatchAgent"[^}]*\} [23]$/m,
    );
    expect(metrics).toMatch(/^longhaul_agent_slots_held\{[^}]*\} 0$/m);
    expect(metrics).toMatch(/^temporal_worker_task_slots_used\{[^}]*task_queue="longhaul-agents-lab"[^}]*\} \d+$/m);
    expect(metrics).toMatch(/^temporal_activity_execution_latency_seconds_bucket\{/m);
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  } finally {
    await lab.close();
  }
});
