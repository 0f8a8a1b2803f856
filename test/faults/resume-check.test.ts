/** An agent that reports that it can load its session, and cannot: the check finds it, and then its report no longer counts. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AgentEntry, agentEntry, refreshAgent } from '../../client/agent-snapshots.ts';
import { answerPermission, listPermissions } from '../../client/permissions.ts';
import type { TaskId } from '../../contract/ids.ts';
import type { ScriptedStart, Step } from '../agents/scripted-agent.ts';
import { ALLOW_ONCE, permission, REJECT, text } from '../agents/scripts.ts';
import { type FailingAgents, startFailingAgents } from '../failing-agents/lab.ts';
import type { Lab, LabWorker } from '../lab/lab.ts';

const ENV = { LONGHAUL_HIBERNATE_AFTER: '1' };
let agents: FailingAgents;
let lab: Lab;
let worker: LabWorker;
beforeAll(async () => {
  agents = await startFailingAgents({ slots: 2, env: ENV });
  ({ lab, worker } = agents);
});
afterAll(() => agents.close());

const WORDS: readonly Step[] = [{ update: text('OK') }, { hang: true }];
const REFUSES: ScriptedStart = {
  load: { error: { code: -32603, message: 'No previous sessions found' } },
  words: WORDS,
};
const journalOf = (name: string): string => path.join(lab.home, `${name}.journal`);
const received = async (name: string, method: string): Promise<number> =>
  (await readFile(journalOf(name), 'utf8')).split('\n').filter((line) => line === method).length;

const deps = () => ({ sql: lab.sql, temporal: lab.client });

/** Resolves when a check of the agent has ended. */
async function checked(name: string): Promise<AgentEntry> {
  await refreshAgent(deps(), name, null);
  return lab.until('the check', async () => {
    const entry = await agentEntry(lab.sql, name, null);
    return entry.status === 'ready' && entry.verified.resume !== 'unknown' ? entry : undefined;
  });
}

const asking = (name: string) =>
  lab.submit({
    agent: name,
    permissionPolicy: 'ask',
    input: JSON.stringify([permission(ALLOW_ONCE, REJECT), { stop: 'end_turn' }]),
  });

const hibernated = (task: TaskId) =>
  lab.until('hibernation', async () => (await lab.statusIfRuns(task))?.step === 'wait for an answer');

test('before the check its report counts; after it the agent waits and is not ended, and a check is made once', async () => {
  const name = await agents.agent({ ...REFUSES, version: '1.0', journal: journalOf('first') });
  const trusting = await asking(name);
  await hibernated(trusting);
  await lab.cancel(trusting);
  await lab.ended(trusting);

  expect(await checked(name)).toMatchObject({ capabilities: { resume: true }, verified: { resume: 'no' } });
  const [row] = await lab.sql`SELECT version, reason FROM resume_checks WHERE agent = ${name}`;
  expect(row).toMatchObject({
    version: '1.0',
    reason: expect.stringContaining('No previous sessions found') as string,
  });
  const task = await asking(name);
  const asked = await lab.until('the request', async () => (await listPermissions(lab, { taskId: task, state: 'pending' }))[0]); // prettier-ignore
  // It asks later, of an agent that can resume, so the first task would hibernate before it.
  const later = await lab.submit({ input: 'ask before b.txt. write b.txt with b', permissionPolicy: 'ask' });
  await hibernated(later);
  expect(await lab.status(task)).toMatchObject({ step: 'dispatch agent', phase: 'waiting_permission' });
  await answerPermission(lab, { id: asked.id, answer: 'allow', by: 'test' });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  await lab.cancel(later);
  await lab.ended(later);
});

test('after a kill it starts over at once: it is not asked to load its session', async () => {
  const name = await agents.agent({ ...REFUSES, version: '1.0', journal: journalOf('second') });
  await checked(name);
  const before = await received('second', 'session/load');
  const mark = path.join(lab.home, 'killed');
  const half: Step = { once: mark, do: [{ write: 'half.txt', content: 'half' }, { update: text('half') }] };
  const task = await lab.submit({ agent: name, input: JSON.stringify([half, { write: 'whole.txt', content: 'whole' }, { stop: 'end_turn' }]) }); // prettier-ignore
  await lab.until('its words', async () => (await lab.frames(task)).some(({ type }) => type === 'delta'));
  worker.kill('SIGKILL');
  await worker.exited;
  worker = await lab.startWorker(ENV);
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  const resets = (await lab.frames(task)).filter(({ type }) => type === 'message_reset').map(({ body }) => body);
  expect(resets).toMatchObject([{ reason: 'the turn was interrupted and the agent cannot load its session' }]);
  expect(await received('second', 'session/load')).toBe(before);
  expect(await lab.inChange(task, 'whole.txt')).toBe('whole');
  expect((await lab.changes(task))[0]?.diff).not.toContain('half.txt');
});

test('an agent that loads its session is verified, hibernates, and the check leaves nothing', async () => {
  const name = await agents.agent({ load: {}, words: WORDS, version: '1.0', journal: journalOf('third') });
  expect(await checked(name)).toMatchObject({ verified: { resume: 'yes' } });
  await lab.until('no scratch folder', async () => (await readdir(path.join(lab.home, 'scratch'))).length === 0);
  // A refresh probes the agent again, and does not prompt this version again.
  await refreshAgent(deps(), name, null);
  await lab.until('the probe', async () => (await agentEntry(lab.sql, name, null)).status === 'ready');
  expect(await received('third', 'session/prompt')).toBe(1);
  const task = await asking(name);
  await hibernated(task);
  await lab.cancel(task);
  await lab.ended(task);
  expect(await received('third', 'session/load')).toBeGreaterThan(0);
});

test('a worker killed during the check: the agent ends with it, the next worker removes the folder and makes the check', async () => {
  const mark = path.join(lab.home, 'prompted');
  const silentOnce: readonly Step[] = [{ once: mark, do: [] }, ...WORDS];
  const name = await agents.agent({ load: {}, words: silentOnce, version: '1.0', journal: journalOf('fourth') });
  const result = checked(name);
  await lab.until('the prompt', async () => existsSync(mark));
  worker.kill('SIGKILL');
  await worker.exited;
  const left = await readdir(path.join(lab.home, 'scratch'));
  expect(left).toHaveLength(1);
  worker = await lab.startWorker(ENV);
  expect(await readdir(path.join(lab.home, 'scratch'))).not.toContain(left[0]);
  expect(await result).toMatchObject({ verified: { resume: 'yes' } });
  expect(await received('fourth', 'session/prompt')).toBe(2);
});
