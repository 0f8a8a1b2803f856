import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentOffer, ProbeResult } from '../../contract/agent-snapshot.ts';
import {
  agentSnapshots,
  type AgentSnapshot,
  beginProbe,
  claimProbe,
  releaseProbe,
  storeProbe,
} from '../../store/agent-snapshots.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const offerOf = (model: string): AgentOffer => ({
  label: 'An agent',
  version: '1',
  auth: 'ok',
  models: [{ id: model, label: model, is_default: true, thinking_options: [] }],
  modes: [],
  thinking_options: [],
  commands: [],
  accepts_any: [],
  capabilities: { resume: true, images: false, login_methods: [] },
});
const found = (model: string): ProbeResult => ({
  status: 'ready',
  offer: offerOf(model),
  report: null,
  install_hint: null,
});
const FAILED: ProbeResult = {
  status: 'error',
  code: 'agent_crashed',
  message: 'it exited with code 3',
  auth: 'unknown',
  report: { command: ['agent'], exit_code: 3, signal: null, stderr: 'no\0pe' },
  install_hint: null,
};

async function listed(agent: string): Promise<string> {
  await database.sql`INSERT INTO available_agents (name, supports_acp) VALUES (${agent}, true)`;
  const id = await claimProbe(database.sql, { agent, projectId: null });
  if (id === undefined) throw new TypeError('expected to claim the first probe');
  return id;
}

async function snapshot(agent: string): Promise<AgentSnapshot | undefined> {
  const [one] = await agentSnapshots(database.sql, { names: [agent] });
  return one;
}

const begin = async (id: string): Promise<number> => (await beginProbe(database.sql, id))?.number ?? -1;
const store = (id: string, number: number, result: ProbeResult): Promise<boolean> =>
  storeProbe(database.sql, id, { number, result });

test('many readers of a stale snapshot claim one probe; after its end it is fresh', async () => {
  const { sql } = database;
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('claimed', true)`;
  expect(await snapshot('claimed')).toMatchObject({ status: 'loading', stale: true, offer: null });
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimProbe(sql, { agent: 'claimed', projectId: null }))); // prettier-ignore
  const [id = '', ...others] = claims.filter((one) => one !== undefined);
  expect(others).toEqual([]);
  expect(await snapshot('claimed')).toMatchObject({ status: 'loading', stale: false });
  expect(await store(id, await begin(id), found('m'))).toBe(true);
  expect(await snapshot('claimed')).toMatchObject({ status: 'ready', stale: false, usable: true, auth: 'ok' });
  await sql`UPDATE agent_snapshots SET finished_at = now() - interval '301 seconds', requested_at = now() - interval '310 seconds' WHERE id = ${id}`;
  expect(await snapshot('claimed')).toMatchObject({ status: 'ready', stale: true });
});

test('an older probe never overwrites a newer one, whichever ends last', async () => {
  const id = await listed('raced');
  const [older, newer] = [await begin(id), await begin(id)];
  expect(await store(id, newer, found('new'))).toBe(true);
  expect(await store(id, older, found('old'))).toBe(false);
  expect((await snapshot('raced'))?.offer?.models.map((model) => model.id)).toEqual(['new']);
});

test('what an agent offered stays visible while it is probed again, and after a probe that failed', async () => {
  const { sql } = database;
  const id = await listed('kept');
  await store(id, await begin(id), found('m'));
  expect(await claimProbe(sql, { agent: 'kept', projectId: null })).toBe(id);
  expect(await snapshot('kept')).toMatchObject({ status: 'loading', usable: true, offer: { models: [{ id: 'm' }] } });
  await store(id, await begin(id), FAILED);
  expect(await snapshot('kept')).toMatchObject({
    status: 'error',
    usable: false,
    error_code: 'agent_crashed',
    error: 'it exited with code 3',
    offer: { models: [{ id: 'm' }] },
  });
});

test('a probe that could not be started, or was lost with its worker, can be claimed again', async () => {
  const { sql } = database;
  const id = await listed('lost');
  await releaseProbe(sql, id);
  expect(await claimProbe(sql, { agent: 'lost', projectId: null })).toBe(id);
  await sql`UPDATE agent_snapshots SET requested_at = now() - interval '91 seconds' WHERE id = ${id}`;
  expect(await claimProbe(sql, { agent: 'lost', projectId: null })).toBe(id);
});

test('an agent that is not listed any more is not started', async () => {
  const id = await listed('gone');
  await database.sql`DELETE FROM available_agents WHERE name = 'gone'`;
  expect(await beginProbe(database.sql, id)).toBeUndefined();
});
