import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentOffer, ProbeResult } from '../../contract/agent-snapshot.ts';
import { beginProbe, claimProbe, storeProbe } from '../../store/agent-snapshots.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const OFFER: AgentOffer = {
  label: 'Demo agent',
  version: '1.2',
  auth: 'ok',
  models: [{ id: 'm', label: 'M', is_default: true, thinking_options: null }],
  modes: [{ id: 'edit', label: 'Edit', description: '', risk: 'moderate', is_default: true }],
  thinking_options: [],
  commands: [{ name: 'write', description: 'writes', argument_hint: 'FILE', source: 'agent' }],
  accepts_any: [],
  capabilities: { resume: true, images: false, login_methods: [] },
};

async function probed(agent: string, result: ProbeResult): Promise<void> {
  const id = (await claimProbe(server.sql, { agent, projectId: null })) ?? '';
  const begun = await beginProbe(server.sql, id);
  await storeProbe(server.sql, id, { number: begun?.number ?? 0, result });
}

test('the list is read from the store in less than 50 ms, also while every agent is stale', async () => {
  await probed('demo', { status: 'ready', offer: OFFER, report: null, install_hint: null });
  await server.sql`UPDATE agent_snapshots SET finished_at = now() - interval '1 hour', requested_at = NULL`;
  await server.get('/api/agents');
  const times: number[] = [];
  for (let n = 0; n < 10; n += 1) {
    const begun = performance.now();
    const { body } = await server.get('/api/agents');
    times.push(performance.now() - begun);
    expect(body).toMatchObject({
      items: [
        { name: 'demo', label: 'Demo agent', version: '1.2', models: OFFER.models, commands: OFFER.commands },
        { name: 'native', status: 'loading', enabled: true, models: [], fetched_at: null },
      ],
    });
  }
  // The best of ten, because other tests use the machine.
  expect(Math.min(...times)).toBeLessThan(50);
});

test('an agent that is disabled is refused at submit with a message, until it is enabled', async () => {
  const patch = (enabled: boolean) =>
    server.ask('/api/agents/demo', {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ enabled }),
    });
  expect(await patch(false)).toMatchObject({ status: 200, body: { name: 'demo', enabled: false } });
  const refused = await server.post('/api/tasks', { project_path: server.repository, agent: 'demo', input: 'x' });
  expect(refused).toMatchObject({
    status: 422,
    body: { error_code: 'agent_disabled', detail: expect.stringContaining('longhaul agents enable demo') as string },
  });
  expect(await patch(true)).toMatchObject({ status: 200, body: { enabled: true } });
});

test('the diagnostic has command, exit code, output and advice', async () => {
  const report = { command: ['/opt/demo'], exit_code: 3, signal: null, stderr: 'no configuration' };
  const message = 'demo exited with code 3 before it had a session. Check that it starts by hand.';
  await server.sql`UPDATE agent_snapshots SET requested_at = NULL`;
  await probed('demo', {
    status: 'error',
    code: 'agent_crashed',
    message,
    auth: 'unknown',
    report,
    install_hint: null,
  });
  expect(await server.get('/api/agents/demo/diagnostic')).toMatchObject({
    status: 200,
    body: { name: 'demo', status: 'error', error_code: 'agent_crashed', ...report, advice: message },
  });
  expect(await server.get('/api/agents/native/diagnostic')).toMatchObject({ status: 200, body: { command: [] } });
});

test.each([
  ['GET', '/api/agents/nothing/diagnostic', 'agent_not_found'],
  ['POST', '/api/agents/nothing/refresh', 'agent_not_found'],
  ['GET', `/api/agents?project_id=${randomUUID()}`, 'project_not_found'],
])('%s %s is 404', async (method, path, error_code) => {
  expect(await server.ask(path, { method })).toMatchObject({ status: 404, body: { error_code } });
});
