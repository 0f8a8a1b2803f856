/** Agents that send far more than a person reads: memory stays bounded, and other agents continue to stream. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MAX_CONTENT_CHARS, MAX_TOOL_CALLS } from '../../frames/fold.ts';
import type { TaskId } from '../../contract/ids.ts';
import type { Step } from '../agents/scripted-agent.ts';
import { expectEnd, FailingAgents, HALF, startFailingAgents, WHOLE_MS } from './lab.ts';

const FLOODS: Readonly<Record<string, readonly Step[]>> = {
  '50 MB of text': [{ flood: 100, characters: 500_000 }],
  '50 MB on stderr': [{ floodStderr: 50_000, characters: 1_000 }],
  '20,000 tool calls': [{ toolCalls: 20_000 }],
  'a tool call of 5 MB': [{ toolCallOf: 5_000_000 }],
  'a plan of 10,000 entries': [{ planOf: 10_000 }],
};

let agents: FailingAgents;
let neighbours: TaskId[];
let quietMb: number;
const tasks = new Map<string, TaskId>();

beforeAll(async () => {
  agents = await startFailingAgents();
  neighbours = await agents.neighbours(3);
  for (const task of neighbours) await agents.lab.untilFrame(task, 'its first words', ({ type }) => type === 'delta');
  quietMb = await agents.peakMemory();
  for (const [name, steps] of Object.entries(FLOODS))
    tasks.set(name, await agents.play({}, [...HALF, ...steps, { stop: 'end_turn' }]));
  await agents.allEnded();
}, WHOLE_MS);
afterAll(() => agents.close());

const taskOf = (name: keyof typeof FLOODS): TaskId => {
  const task = tasks.get(name);
  if (task === undefined) throw new TypeError(`no task ${name}`);
  return task;
};

test.each(Object.keys(FLOODS))('an agent that sends %s completes', async (name) => {
  await expectEnd(agents, taskOf(name), { state: 'completed', code: null, says: /half is done/, attempts: 1 });
  expect(await agents.lab.inChange(taskOf(name), 'half.txt')).toBe('half');
  expect(await agents.lab.historyLength(taskOf(name))).toBeLessThan(300);
});

test('the message keeps its text up to the limit, and a warning reports that there was more', async () => {
  expect(await agents.content(taskOf('50 MB of text'))).toHaveLength(MAX_CONTENT_CHARS);
  const [row] = await agents.lab.sql<{ calls: number; plan: number | null }[]>`
    SELECT jsonb_array_length(tool_calls) AS calls FROM messages
     WHERE task_id = ${taskOf('20,000 tool calls')} AND role = 'assistant'`;
  expect(row).toMatchObject({ calls: MAX_TOOL_CALLS });
  const warnings = async (name: keyof typeof FLOODS): Promise<unknown[]> =>
    (await agents.lab.frames(taskOf(name))).flatMap(({ type, body }) => (type === 'warning' ? [body['message']] : []));
  // Where the message ends, and where the stream does.
  expect(await warnings('50 MB of text')).toEqual([
    expect.stringContaining(`keeps the first ${MAX_CONTENT_CHARS} characters`),
    expect.stringContaining('the rest is not shown'),
  ]);
  expect(await warnings('20,000 tool calls')).toHaveLength(1);
});

test('no frame is larger than followers expect', async () => {
  const [row] = await agents.lab.sql<{ bytes: number }[]>`SELECT max(octet_length(body::text)) AS bytes FROM frames`;
  expect(row?.bytes).toBeLessThanOrEqual(64 * 1024);
});

test('the memory of the worker stays bounded', async () => {
  expect((await agents.peakMemory()) - quietMb).toBeLessThan(400);
});

test('tasks beside them continue to stream and complete at their first attempt, in the same worker', async () => {
  for (const task of neighbours) await agents.expectUndisturbed(task);
  const silences = await Promise.all(neighbours.map((task) => agents.longestSilence(task)));
  expect(Math.max(...silences)).toBeLessThan(10_000);
});
