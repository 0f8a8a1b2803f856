/** Probes through a real worker: agents that work, and one that hangs and delays none of them. */
import { existsSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type AgentEntry,
  diagnoseAgent,
  enableAgent,
  listAgentEntries,
  refreshAgent,
} from '../../client/agent-snapshots.ts';
import { probeWorkflowId } from '../../contract/names.ts';
import { findByMark } from '../../processes/sweep.ts';
import { builtModule } from '../lab/built.ts';
import { type Lab, type LabWorker, startLab } from '../lab/lab.ts';

let lab: Lab;
const workers: LabWorker[] = [];
beforeAll(async () => {
  lab = await startLab();
  workers.push(await lab.startWorker());
  await lab.sql`INSERT INTO available_agents (name, supports_acp, install_path) VALUES ('hangs', true, ${await hanging()}),
    ('missing', true, '/nowhere/agent'), ('gemini', false, '/bin/false')`;
});
afterAll(() => lab.close());

/** A program that reads and never answers, with a child in a process group of its own. */
async function hanging(): Promise<string> {
  const file = path.join(lab.home, 'hangs.sh');
  await writeFile(file, '#!/bin/sh\nsetsid sleep 1000 &\ntouch "$(dirname "$0")/hangs"\nexec cat > /dev/null\n');
  await chmod(file, 0o755);
  return file;
}

const deps = () => ({ sql: lab.sql, temporal: lab.client });
const projectId = () => lab.projectId;

async function entries(): Promise<Record<string, AgentEntry>> {
  const { entries: all, refreshed } = await listAgentEntries(deps(), projectId());
  await refreshed();
  return Object.fromEntries(all.map((entry) => [entry.name, entry]));
}

test('each agent is probed separately: one that hangs delays no other, and is ended with its children', async () => {
  const ready = await lab.until('the others', async () => {
    const found = await entries();
    const others = ['demo', 'missing', 'gemini', 'native'].map((name) => found[name]?.status ?? 'loading');
    return others.includes('loading') ? undefined : found;
  });
  expect(ready).toMatchObject({
    demo: { status: 'ready', auth: 'ok', models: [{ id: 'plain' }, { id: 'loud' }], error: null },
    missing: { status: 'unavailable', models: [] },
    gemini: { status: 'ready', transport: 'pty', auth: 'unknown' },
    native: { status: 'ready', transport: 'native', modes: [{ id: 'code' }, { id: 'ask', risk: 'safe' }, { id: 'plan' }] }, // prettier-ignore
    hangs: { status: 'loading' },
  });
  const [row] = await lab.sql<{ id: string }[]>`SELECT id FROM agent_snapshots WHERE agent = 'hangs'`;
  await lab.client.workflow.getHandle(probeWorkflowId(row?.id ?? '')).result();
  expect(await entries()).toMatchObject({ hangs: { status: 'error', error: expect.stringMatching(/not ready within 30 s/) as string } }); // prettier-ignore
  expect(findByMark([`LONGHAUL_TASK_HOME=${lab.home}`])).toEqual([]);
}, 90_000);

test('a worker killed while it probes: the agent ends with it, and the next worker probes again', async () => {
  const first = path.join(lab.home, 'first');
  const file = path.join(lab.home, 'hangs-once.sh');
  const demo = `exec '${process.execPath}' '${builtModule('agents/demo/main')}'`;
  await writeFile(file, `#!/bin/sh\n[ -e '${first}' ] && ${demo}\ntouch '${first}'\nexec sleep 1000\n`);
  await chmod(file, 0o755);
  await lab.sql`INSERT INTO available_agents (name, supports_acp, install_path) VALUES ('once', true, ${file})`;
  await refreshAgent(deps(), 'once', projectId());
  await lab.until('the agent', async () => existsSync(first));
  workers.pop()?.kill('SIGKILL');
  await lab.until('the end of the agent', async () => findByMark([`LONGHAUL_TASK_HOME=${lab.home}`]).length === 0);
  workers.push(await lab.startWorker());
  await lab.until('the second probe', async () => (await entries())['once']?.status === 'ready');
}, 90_000);

test("an agent is probed in the project's folder, and history does not contain its name", async () => {
  const [row] = await lab.sql<{ id: string }[]>`SELECT id FROM agent_snapshots WHERE agent = 'demo'`;
  const history = await lab.client.workflow.getHandle(probeWorkflowId(row?.id ?? '')).fetchHistory();
  const text = JSON.stringify(history);
  expect(text).toContain('ScheduledEvent');
  expect(text).not.toContain(lab.home);
}, 30_000);

test('a refresh finds a program that was installed meanwhile, and the diagnostic has the earlier error', async () => {
  const diagnostic = await diagnoseAgent(lab.sql, 'missing', projectId());
  expect(diagnostic).toMatchObject({ status: 'unavailable', error_code: 'agent_not_installed', command: [] });
  await lab.sql`UPDATE available_agents SET supports_acp = false, install_path = '/bin/true' WHERE name = 'missing'`;
  expect(await refreshAgent(deps(), 'missing', projectId())).toMatchObject({ status: 'loading' });
  await lab.until('the probe', async () => (await entries())['missing']?.status === 'ready');
}, 60_000);

test('a task for a disabled agent is refused, also as a row of another program', async () => {
  expect(await enableAgent(lab.sql, 'demo', false)).toMatchObject({ enabled: false });
  const task = await lab.submit({ input: 'say hello' });
  expect(await lab.ended(task)).toMatchObject({ state: 'failed', error_code: 'agent_disabled' });
  expect(await enableAgent(lab.sql, 'demo', true)).toMatchObject({ enabled: true });
}, 60_000);
