/**
 * A turn of six hours, without waiting for it: what an agent sends in that time, at once, through a real turn; and what
 * the workflow hears in that time, by the pacer's own clock, given to the real workflow signal by signal.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ProgressPacer } from '../../activities/progress-pacer.ts';
import { AGENT_PROGRESS, taskWorkflowId } from '../../contract/names.ts';
import type { AgentProgress, Phase } from '../../contract/task.ts';
import { FailingAgents, HALF, startFailingAgents, WHOLE_MS } from '../failing-agents/lab.ts';

const HOURS = 6;
const SECONDS = HOURS * 3_600;
/** A busy agent: words each second, a tool call every five. */
const BUSY = [...HALF, { flood: SECONDS, characters: 80 }, { toolCalls: SECONDS / 5 }] as const;
/** Temporal warns at 10,240 events and at 10 MB; it ends a run at 51,200 and at 50 MB. */
const MAX_EVENTS = 2_560;
const MAX_BYTES = 2_500_000;

let agents: FailingAgents;
let startedAt: number;
beforeAll(async () => {
  startedAt = performance.now();
  agents = await startFailingAgents();
}, WHOLE_MS);
afterAll(() => agents.close());

/** What the pacer lets through, offered as the dispatch step does: each second, and at each change of phase. */
async function signalsOf(phaseAt: (second: number) => Phase): Promise<AgentProgress[]> {
  let second = 0;
  const sent: AgentProgress[] = [];
  const send = async (progress: AgentProgress): Promise<void> => void sent.push(progress);
  const pacer = new ProgressPacer(send, () => second * 1_000);
  for (; second <= SECONDS; second += 1) {
    const tool = `Run the test number ${second}`;
    pacer.offer({ attempt: 1, phase: phaseAt(second), tool, toolCalls: Math.floor(second / 5), tokens: second * 80 });
    await Promise.resolve(); // the signal's answer
    await Promise.resolve();
  }
  return sent;
}

test.each<[string, (second: number) => Phase, number]>([
  ['works all the time', () => 'working', 70],
  ['asks for permission every minute', (second) => (second % 60 < 20 ? 'waiting_permission' : 'working'), 300],
])('a turn of six hours that %s: its history stays small', async (_what, phaseAt, atMost) => {
  const { lab } = agents;
  const task = await agents.play({}, [...BUSY, { waitFor: 'go' }, { stop: 'end_turn' }]);
  await lab.untilPhase(task, 'working');
  const signals = await signalsOf(phaseAt);
  expect(signals.length).toBeLessThan(atMost);
  const workflow = lab.client.workflow.getHandle(taskWorkflowId(task));
  for (const progress of signals) {
    await workflow.signal(AGENT_PROGRESS, progress);
    // One by one, as they come in six hours: together they would share a workflow task. A query waits for what is before it.
    await lab.status(task);
  }
  await writeFile(path.join((await lab.task(task)).worktree_path ?? '', 'go'), '');
  expect(await lab.ended(task)).toMatchObject({ state: 'completed', error_code: null });
  expect(await lab.inChange(task, 'half.txt')).toBe('half');
  expect(await lab.leftovers(task)).toEqual([]);
  const { raw } = await workflow.describe();
  const { historyLength, historySizeBytes } = raw.workflowExecutionInfo ?? {};
  expect(Number(historyLength)).toBeLessThan(MAX_EVENTS);
  expect(Number(historySizeBytes)).toBeLessThan(MAX_BYTES);
});

test("heartbeats follow the clock, not the agent's output", async () => {
  const asked = new Date();
  const metrics = await agents.lab.until('the worker’s figures', async () => {
    const [row] = await agents.lab.sql<{ metrics: string }[]>`SELECT metrics FROM worker_metrics WHERE at > ${asked}`;
    return row?.metrics;
  });
  const counts = metrics.matchAll(
    /^temporal_request_total\{[^}]*operation="RecordActivityTaskHeartbeat"[^}]*\} (\d+)$/gm,
  );
  const sent = [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThan((performance.now() - startedAt) / 1_000 + 10);
});
