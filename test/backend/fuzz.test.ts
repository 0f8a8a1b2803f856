/**
 * Requests made from the OpenAPI document, right and wrong, at a server that listens: none is answered with a fault, none
 * hangs, every answer is as documented. LONGHAUL_FUZZ_RUNS makes it longer, LONGHAUL_FUZZ_SEED runs one again.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { append, delta, labSession } from '../lab/log.ts';
import { requestsFrom } from './fuzz-requests.ts';
import { type LabServer, startServer } from './lab.ts';

const RUNS = Number(process.env['LONGHAUL_FUZZ_RUNS'] ?? 400);
const SEED = Number(process.env['LONGHAUL_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Far above what any takes, far below the bound of a handler. */
const ANSWER_MS = 5_000;

let server: LabServer;
const ids: string[] = [];
const bodies: Record<string, object[]> = {};
const named: Record<string, string[]> = { agent: ['demo'], state: ['pending'] };
beforeAll(async () => {
  server = await startServer();
  const message = await labSession(server.sql);
  await append(server.sql, message, [delta(message, 'a')]);
  const { body: project } = await server.post('/api/projects', { path: server.repository });
  await server.sql`UPDATE sessions SET project_id = ${String(project['id'])} WHERE id = ${message.sessionId}`;
  const { body: made } = await server.post('/api/tasks', { project_id: project['id'], input: 'x', agent: 'demo' });
  const [change] = await server.sql<{ id: string }[]>`
    INSERT INTO pending_changes (session_id, task_id, diff, files) VALUES (${message.sessionId}, ${message.taskId}, '+x', '[{}]') RETURNING id`;
  named['project_id'] = [String(project['id'])];
  named['project_path'] = named['path'] = [server.repository];
  named['session_id'] = [message.sessionId];
  named['chat_id'] = [message.chatId];
  named['cursor'] = named['before'] = [Buffer.from(`9000000000000000 ${message.taskId}`).toString('base64url')];
  const task = { agent: 'demo', input: 'x' };
  const places = [
    { project_id: project['id'] },
    { session_id: message.sessionId },
    { project_path: server.repository },
  ];
  bodies['POST /api/tasks'] = [...places, { project_path: '/' }].map((place) => ({ ...task, ...place }));
  bodies['POST /api/projects'] = [{ path: server.repository }, { path: '/' }];
  ids.push(
    message.sessionId,
    message.chatId,
    message.taskId,
    String(project['id']),
    String(made['id']),
    change?.id ?? '',
  );
});
afterAll(() => server.close());

test(
  `${RUNS} requests, seed ${SEED}`,
  async () => {
    const words = ['demo', 'pending', server.repository, '/', '/etc/passwd', 'allow', ' '];
    const statuses = new Map<number, number>();
    const ask = fc.asyncProperty(
      requestsFrom(server.documented.document, { ids, words, named, bodies }),
      async (request) => {
        const startedAt = performance.now();
        const { status, body } = await server.ask(request.path, {
          method: request.method,
          headers: {
            ...request.headers,
            ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(request.body === undefined ? {} : { body: request.body }),
        });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        // No worker runs here, and an action on a change needs one.
        const needsWorker = status === 503 && /\/(apply|undo)(\?|$)/.test(request.path);
        expect([status < 500 || needsWorker, body]).toEqual([true, body]);
        expect(performance.now() - startedAt).toBeLessThan(ANSWER_MS);
      },
    );
    await fc.assert(ask, { numRuns: RUNS, seed: SEED, endOnFailure: true });
    // It reaches what lies behind the schemas, too.
    const found = [...server.documented.seen].map((name) => name.split(' ').slice(0, 2).join(' '));
    const operations = Object.values(server.documented.document.paths).flatMap((methods) => Object.keys(methods));
    expect(new Set(found).size).toBe(operations.length);
    // One in fifty or so is 201 or 422: few requests may have none.
    for (const status of RUNS < 2_000 ? [200, 400, 404] : [200, 201, 400, 404, 409, 422])
      expect([status, statuses.get(status) ?? 0]).toEqual([status, expect.toSatisfy((count: number) => count > 0)]);
    if (process.env['LONGHAUL_FUZZ_RUNS'] !== undefined) process.stdout.write(`${JSON.stringify([...statuses])}\n`);
  },
  Math.max(60_000, RUNS * 50),
);
