import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentOffer } from '../../contract/agent-snapshot.ts';
import { agentSnapshots, beginProbe, claimProbe, storeProbe } from '../../store/agent-snapshots.ts';
import { checkedAgent, claimResumeCheck, forgetResumeChecks, releaseResumeCheck, storeResumeCheck } from '../../store/resume-checks.ts'; // prettier-ignore
import { freshDatabase, type LabDatabase } from '../lab/database.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const claim = (agent: string, version = '1') => claimResumeCheck(database.sql, { agent, version });
const store = (agent: string, result: 'yes' | 'no' | 'unknown', version = '1') =>
  storeResumeCheck(database.sql, { agent, version }, { result, reason: result === 'yes' ? '' : 'no\0pe' });

test('a check is claimed once for each version of an agent, and again a day after it could not be made', async () => {
  expect([await claim('a'), await claim('a'), await claim('a', '2'), await claim('b')]).toEqual([true, false, true, true]); // prettier-ignore
  await releaseResumeCheck(database.sql, { agent: 'b', version: '1' });
  expect(await claim('b')).toBe(true);
  await store('a', 'unknown');
  expect(await claim('a')).toBe(false);
  await database.sql`UPDATE resume_checks SET finished_at = now() - interval '25 hours' WHERE result = 'unknown'`;
  expect([await claim('a'), await claim('a')]).toEqual([true, false]);
});

test('a check that its worker has lost is claimed again', async () => {
  await claim('lost');
  await database.sql`UPDATE resume_checks SET begun_at = now() - interval '11 minutes' WHERE agent = 'lost'`;
  expect([await claim('lost'), await claim('lost')]).toEqual([true, false]);
});

test('a result is final for its version, until a user asks for a new check', async () => {
  await claim('final');
  await store('final', 'no');
  await store('final', 'yes'); // a second attempt of the step
  const result = () => database.sql`SELECT result FROM resume_checks WHERE agent = 'final'`;
  expect(await result()).toEqual([{ result: 'no' }]);
  await forgetResumeChecks(database.sql, 'final', 'failed');
  expect(await claim('final')).toBe(true);
  await store('final', 'yes');
  await forgetResumeChecks(database.sql, 'final', 'failed');
  expect(await result()).toEqual([{ result: 'yes' }]);
  await forgetResumeChecks(database.sql, 'final');
  expect(await result()).toEqual([]);
});

async function probed(agent: string, { version, resume }: { version: string | null; resume: boolean }) {
  const { sql } = database;
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES (${agent}, true) ON CONFLICT DO NOTHING`;
  await sql`UPDATE agent_snapshots SET requested_at = NULL`;
  const id = (await claimProbe(sql, { agent, projectId: null })) ?? '';
  const offer = { label: agent, version, auth: 'ok', models: [], modes: [], thinking_options: [], commands: [], accepts_any: [], capabilities: { resume, images: false, login_methods: [] } } satisfies AgentOffer; // prettier-ignore
  const number = (await beginProbe(sql, id))?.number ?? 0;
  await storeProbe(sql, id, { number, result: { status: 'ready', offer, report: null, install_hint: null } });
  const [entry] = await agentSnapshots(sql, { names: [agent] });
  return { id, verified: entry?.verified_resume };
}

test('an entry has the result of the version that its probe found', async () => {
  const { sql } = database;
  const { id, verified } = await probed('c', { version: '1', resume: true });
  expect(verified).toBe('unknown');
  expect(await checkedAgent(sql, id)).toMatchObject({ agent: { name: 'c', install_path: null }, version: '1' });
  await claim('c');
  await store('c', 'no');
  expect((await probed('c', { version: '1', resume: true })).verified).toBe('no');
  expect((await probed('c', { version: '2', resume: true })).verified).toBe('unknown');
  // An agent that does not offer it.
  expect((await probed('d', { version: null, resume: false })).verified).toBe('no');
});
