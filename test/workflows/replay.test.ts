/** Runs that older code began must continue under newer code. */
import path from 'node:path';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeBundle } from '../../services/temporal/workflow-bundle.ts';
import { packageVersion } from '../../processes/package-version.ts';
import type { TaskId } from '../../contract/ids.ts';
import { probeWorkflowId, settleWorkflowId, taskWorkflowId, verifyResumeWorkflowId } from '../../contract/names.ts';
import { COMMANDS, type TaskInput } from '../../contract/task.ts';
import { agentEntry, refreshAgent } from '../../client/agent-snapshots.ts';
import { answerPermission, listPermissions, type Permission } from '../../client/permissions.ts';
import { startFailingAgents } from '../failing-agents/lab.ts';
import type { Lab } from '../lab/lab.ts';
import { keepHistory, keptHistories, readHistory } from '../lab/histories.ts';

let code: string;
beforeAll(async () => {
  // The failure that one test asks for is no news.
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'OFF' } } });
  code = await makeBundle();
});

const replay = async (name: string, bundle: string): Promise<void> => {
  await Worker.runReplayHistory({ workflowBundle: { code: bundle } }, await readHistory(name));
};

const names = await keptHistories();

const OUTCOMES = ['completed', 'failed', 'cancelled', 'worker-killed', 'settled'];

/** What the run was started with. */
async function commandsIn(name: string): Promise<number> {
  const { events } = await readHistory(name);
  const [input] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  const { commands = 1 } = JSON.parse(Buffer.from(input?.data ?? []).toString()) as TaskInput;
  return commands;
}

describe('kept histories', () => {
  test.each(OUTCOMES)(
    'one of them is a run of this release that ended %s, with the current commands',
    async (outcome) => {
      const ofRelease = names.filter(
        (name) => name.startsWith(`${packageVersion()}-`) && name.endsWith(`-${outcome}.json`),
      );
      expect(await Promise.all(ofRelease.map(commandsIn))).toContain(COMMANDS);
    },
  );

  test.each(names)('%s replays', async (name) => {
    await replay(name, code);
  });

  test('a run of a newer version waits for a newer worker', async () => {
    const history = await readHistory('0.1.0-commands-3-completed.json');
    const [input] = history.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
    if (!input?.data) throw new Error('the history has no start argument');
    input.data = Buffer.from(
      Buffer.from(input.data)
        .toString()
        .replace('"commands":3', `"commands":${COMMANDS + 1}`),
    );
    const replayed = Worker.runReplayHistory({ workflowBundle: { code } }, history);
    await expect(replayed).rejects.toThrow(/start a worker of the backend's version/);
  });

  test('a workflow with its steps in another order fails the replay', async () => {
    const completed = names.find((name) => name.includes('completed')) ?? '';
    const changed = code.replace("live.enter('create worktree', 'queued')", 'await run.finishTask({ taskId })');
    expect(changed).not.toBe(code);
    await expect(replay(completed, changed)).rejects.toThrow(/TMPRL1100|Determinism/i);
  });
});

/** The request of a task that hibernates. */
async function asksFrom(lab: Lab, taskId: TaskId): Promise<Permission> {
  await lab.until('hibernation', async () => (await lab.statusIfRuns(taskId))?.step === 'wait for an answer');
  const [asked] = await listPermissions(lab, { taskId, state: 'pending' });
  if (!asked) throw new TypeError('the task hibernates without a request');
  return asked;
}

const record = process.env['LONGHAUL_RECORD'];
if (record !== undefined) {
  test('records', { timeout: 300_000 }, async () => {
    const agents = await startFailingAgents({ env: { LONGHAUL_HIBERNATE_AFTER: '1' } });
    const { lab, worker } = agents;
    try {
      const keep = (name: string, task: TaskId): Promise<void> =>
        keepHistory(lab.client, taskWorkflowId(task), `${record}-${name}`);
      const completed = await lab.submit({ input: 'plan. write a.txt with a' });
      await lab.ended(completed);
      await keep('completed', completed);
      const failed = await lab.submit({ input: 'write a.txt with a', agent: null });
      await lab.ended(failed);
      await keep('failed', failed);
      const cancelled = await lab.submit({ input: 'write a.txt with a. hang' });
      await lab.untilPhase(cancelled, 'working');
      await lab.cancel(cancelled);
      await lab.ended(cancelled);
      await keep('cancelled', cancelled);
      const limit = { error: { code: -32603, message: '429 quota: retry in 2s' } };
      const once = (name: string) => ({ once: path.join(lab.home, name), do: [limit] });
      const end = { stop: 'end_turn' };
      const waited = await agents.play({ load: {} }, [once('first'), once('second'), end]);
      await lab.ended(waited);
      await keep('waited', waited);
      const hours = { error: { code: -32603, message: '429 quota: retry in 2h' } };
      const gaveUp = await agents.play({}, [hours]);
      await lab.untilPhase(gaveUp, 'waiting_limit');
      await lab.cancel(gaveUp);
      await lab.ended(gaveUp);
      await keep('cancelled-waiting', gaveUp);
      const asking = { input: 'ask before b.txt. write b.txt with b', permissionPolicy: 'ask' };
      const hibernated = await lab.submit(asking);
      const asked = await asksFrom(lab, hibernated);
      await answerPermission(lab, { id: asked.id, answer: 'allow', by: 'test' });
      await lab.ended(hibernated);
      await keep('hibernated', hibernated);
      const timed = await lab.submit({ ...asking, permissionTimeoutS: 6 });
      await asksFrom(lab, timed);
      await lab.ended(timed);
      await keep('hibernated-expired', timed);
      const unanswered = await lab.submit(asking);
      await asksFrom(lab, unanswered);
      await lab.cancel(unanswered);
      await lab.ended(unanswered);
      await keep('cancelled-hibernated', unanswered);
      const killed = await lab.submit({ input: 'write a.txt with a. run sleep 3. write b.txt with b' });
      await lab.untilPhase(killed, 'working');
      worker.kill('SIGKILL');
      await worker.exited;
      await lab.startWorker();
      await lab.ended(killed);
      await keep('worker-killed', killed);
      const terminated = await lab.submit({ input: 'write a.txt with a. hang' });
      await lab.untilPhase(terminated, 'working');
      await lab.client.workflow.getHandle(taskWorkflowId(terminated)).terminate();
      await lab.settleLost();
      await lab.ended(terminated);
      await lab.client.workflow.getHandle(settleWorkflowId(terminated)).result();
      await keepHistory(lab.client, settleWorkflowId(terminated), `${record}-settled`);
      await refreshAgent({ sql: lab.sql, temporal: lab.client }, 'demo', null);
      await lab.until('the check', async () => (await agentEntry(lab.sql, 'demo', null)).verified.resume === 'yes');
      const [row] = await lab.sql<{ id: string }[]>`SELECT id FROM agent_snapshots WHERE agent = 'demo'`;
      await lab.client.workflow.getHandle(verifyResumeWorkflowId(row?.id ?? '')).result();
      await keepHistory(lab.client, probeWorkflowId(row?.id ?? ''), `${record}-probe-agent`);
      await keepHistory(lab.client, verifyResumeWorkflowId(row?.id ?? ''), `${record}-verify-resume`);
    } finally {
      await agents.close();
    }
  });
}
