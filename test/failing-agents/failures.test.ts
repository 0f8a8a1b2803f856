/** Every way in which an agent fails, through the whole of Longhaul, all at the same time and beside agents that are well. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import type { ScriptedStart, Step } from '../agents/scripted-agent.ts';
import { text } from '../agents/scripts.ts';
import { expectEnd, expectHalf, FailingAgents, HALF, startFailingAgents, WHOLE_MS } from './lab.ts';

interface Failure {
  readonly agent?: ScriptedStart | string;
  readonly model?: string;
  /** After the half that is to be kept. */
  readonly steps?: readonly Step[];
  readonly code: string;
  readonly says: RegExp;
  readonly attempts: number;
}

const error = (code: number, message: string, details?: string): Step => ({
  error: { code, message, ...(details === undefined ? {} : { data: { details } }) },
});
const CALL = { sessionUpdate: 'tool_call', toolCallId: 'a', title: 'Build', status: 'in_progress' };
const BY_HAND = /before it had a session\. Check that `.*agent-\d+` starts by hand and speaks ACP/;

/** They fail before a turn: nothing to keep. */
const AT_START: Readonly<Record<string, Failure>> = {
  'exits at once with 0': { agent: 'exit 0', code: 'agent_crashed', says: BY_HAND, attempts: 3 },
  'exits at once with 1 and words on stderr': {
    agent: 'echo "no configuration in ~/.agent" >&2; exit 1',
    code: 'agent_crashed',
    says: /^3 attempts failed\. The last: agent-\d+ exited with code 1 .* It said: no configuration in ~\/\.agent$/,
    attempts: 3,
  },
  'exits at once because it has no login': {
    agent: 'echo "Error: not logged in" >&2; exit 1',
    code: 'agent_needs_login',
    says: /needs a login on this machine.*not logged in.*log in there/,
    attempts: 1,
  },
  'speaks something else': {
    agent: 'echo "<html><body>Hello</body></html>"; echo "> "; read line; exit 2',
    code: 'agent_crashed',
    says: /exited with code 2 before .*speaks ACP.*It said: <html>/s,
    attempts: 3,
  },
  'speaks another version of ACP': {
    agent: { initialize: { result: { protocolVersion: 9 } } },
    code: 'agent_protocol_error',
    says: /expected ACP protocol version 1, the agent offers 9/,
    attempts: 1,
  },
  'needs a login for a session': {
    agent: { newSession: { error: { code: -32000, message: 'Authentication required' } } },
    code: 'agent_needs_login',
    says: /needs a login on this machine: Authentication required\. It offers: Log in with a browser\. Start it by hand/,
    attempts: 1,
  },
  'cannot make a session': {
    agent: { newSession: { error: { code: -32603, message: 'Internal error: no workspace' } } },
    code: 'agent_protocol_error',
    says: /could not start a session: no workspace\. Check the configuration of the agent/,
    attempts: 1,
  },
  'does not have the model that was asked for': {
    model: 'gpt-99',
    code: 'option_not_available',
    says: /does not offer the model "gpt-99"/,
    attempts: 1,
  },
};

const KEPT = /Its edits until then are kept\./;

/** They fail in mid-turn: half of the work is kept. */
const IN_TURN: Readonly<Record<string, Failure>> = {
  'exits with 3': {
    steps: [{ stderr: 'panic: oh no\n' }, { exit: 3 }],
    code: 'agent_crashed',
    says: /^3 attempts failed\. The last: agent-\d+ exited with code 3 during its turn\. .*kept\. It said: panic: oh no$/,
    attempts: 3,
  },
  'exits with 0': {
    steps: [{ exit: 0 }],
    code: 'agent_crashed',
    says: /exited with code 0 during its turn/,
    attempts: 3,
  },
  'is killed': {
    steps: [{ update: CALL }, { kill: 'SIGKILL' }],
    code: 'agent_crashed',
    says: /was ended by SIGKILL \(out of memory, perhaps\) during its turn/,
    attempts: 3,
  },
  'has a memory fault': {
    steps: [{ kill: 'SIGSEGV' }],
    code: 'agent_crashed',
    says: /was ended by SIGSEGV/,
    attempts: 3,
  },
  'closes its output and continues': {
    agent: { ignoreEof: true },
    steps: [{ closeStdout: true }, { hang: true }],
    code: 'agent_crashed',
    says: /closed its output and kept running during its turn/,
    attempts: 3,
  },
  refuses: {
    steps: [{ stop: 'refusal' }],
    code: 'agent_refused',
    says: /refused to do this\. .*Rephrase the task/,
    attempts: 1,
  },
  'has no tokens left': {
    steps: [{ stop: 'max_tokens' }],
    code: 'turn_limit',
    says: /limit of tokens.*kept; a further task/,
    attempts: 1,
  },
  'has no requests left': {
    steps: [{ stop: 'max_turn_requests' }],
    code: 'turn_limit',
    says: /limit of model requests/,
    attempts: 1,
  },
  'gives up by itself': { steps: [{ stop: 'cancelled' }], code: 'agent_refused', says: KEPT, attempts: 1 },
  'invents a stop reason': {
    steps: [{ stop: 'bored\0' }],
    code: 'agent_protocol_error',
    says: /expected a stop reason of ACP, found "bored/,
    attempts: 1,
  },
  'has lost its login': {
    steps: [error(-32000, 'Authentication required')],
    code: 'agent_needs_login',
    says: /needs a login .*: Authentication required\. Start it by hand and log in there/,
    attempts: 1,
  },
  'sends a bad request to its model': {
    steps: [error(-32603, 'Internal error', '400 unknown model "gpt-99"')],
    code: 'llm_error',
    says: /provider returned an error: .*400 unknown model "gpt-99"\. .*check the model/,
    attempts: 1,
  },
  'has a key that its provider does not take': {
    steps: [error(-32603, 'Internal error', '401 Incorrect API key provided')],
    code: 'agent_needs_login',
    says: /401 Incorrect API key/,
    attempts: 1,
  },
  'has used up its quota': {
    steps: [error(-32603, 'Internal error', '429 You exceeded your current quota')],
    code: 'usage_limit',
    says: /reached a limit of its model's provider: .*429 .*Wait until the limit is lifted/,
    attempts: 1,
  },
  'has used up its quota for a month': {
    steps: [error(-32603, 'Internal error', '429 You exceeded your current quota. Try again in 30 days.')],
    code: 'usage_limit',
    says: /Try again in 30 days\. Wait until the limit is lifted/,
    attempts: 1,
  },
  'has a provider that is down': {
    steps: [error(-32603, 'Internal error', `500 ${'upstream failed '.repeat(60)}`)],
    code: 'llm_unavailable',
    says: /^3 attempts failed\. The last: .* 500 upstream .* submit the task again later/,
    attempts: 3,
  },
  'ends well in codex words after its provider failed': {
    steps: [
      { update: { ...text(''), _meta: { codex: { threadStatus: { type: 'systemError' } } } } },
      { update: text('stream error: 500 overloaded') },
      { stop: 'end_turn' },
    ],
    code: 'llm_unavailable',
    says: /500 overloaded/,
    attempts: 3,
  },
  'sends one line of 20 MB': {
    steps: [{ lineOf: 20_000_000 }, { hang: true }],
    code: 'output_overflow',
    says: /line of more than 16 MB.*kept.*another agent/,
    attempts: 1,
  },
};

let agents: FailingAgents;
const tasks = new Map<string, TaskId>();
let neighbours: TaskId[];

beforeAll(async () => {
  agents = await startFailingAgents();
  await agents.list('not-there', '/nowhere/agent');
  tasks.set('not-there', await agents.lab.submit({ agent: 'not-there', input: '[]' }));
  neighbours = await agents.neighbours(2);
  for (const [name, { agent = {}, model }] of Object.entries(AT_START))
    tasks.set(name, await agents.play(agent, HALF, model));
  neighbours.push(...(await agents.neighbours(2)));
  for (const [name, { agent = {}, steps = [] }] of Object.entries(IN_TURN))
    tasks.set(name, await agents.play(agent, [...HALF, ...steps]));
  await agents.allEnded();
}, WHOLE_MS);
afterAll(() => agents.close());

const taskOf = (name: string): TaskId => {
  const task = tasks.get(name);
  if (task === undefined) throw new TypeError(`no task ${name}`);
  return task;
};

test('an agent that is not installed: the message says what to do', async () => {
  const says = /not-there is not installed: \/nowhere\/agent is not a program on this machine\. Install it, or correct/;
  await expectEnd(agents, taskOf('not-there'), { state: 'failed', code: 'agent_not_installed', says, attempts: 1 });
});

test.each(Object.entries(AT_START))('an agent that %s', async (name, { code, says, attempts }) => {
  await expectEnd(agents, taskOf(name), { state: 'failed', code, says, attempts });
  expect(await agents.lab.changes(taskOf(name))).toEqual([]);
});

test.each(Object.entries(IN_TURN))(
  'an agent that %s: half of the work is kept',
  async (name, { code, says, attempts }) => {
    await expectEnd(agents, taskOf(name), { state: 'failed', code, says, attempts });
    await expectHalf(agents.lab, taskOf(name));
  },
);

test('tool calls that an agent leaves open when it dies are closed in the message', async () => {
  const [row] = await agents.lab.sql`
    SELECT tool_calls FROM messages WHERE task_id = ${taskOf('is killed')} AND role = 'assistant'`;
  expect(row).toMatchObject({ tool_calls: [{ title: 'Build', status: 'failed' }] });
});

const atLeast = (least: number): unknown => expect.toSatisfy((seconds: number) => seconds >= least);

test('an agent whose provider is available again continues in its session, after a pause', async () => {
  const { lab } = agents;
  const mark = path.join(lab.home, 'provider-was-down');
  const down: Step = { once: mark, do: [...HALF, error(-32603, 'Internal error', '529 overloaded')] };
  const task = await agents.play({ load: {} }, [down, { update: text(', all is done') }, { stop: 'end_turn' }]);

  expect(await lab.ended(task)).toMatchObject({ state: 'completed', error_code: null });
  expect(await agents.attempts(task)).toEqual(['llm_unavailable', null]);
  expect(await agents.content(task)).toBe('half is done\n\n, all is done');
  expect(await lab.inChange(task, 'half.txt')).toBe('half');
  expect(await agents.pauses(task)).toEqual([atLeast(5)]);
});

test('half a day after the first failure there is no further attempt', async () => {
  const { lab } = agents;
  const [mark, gate] = [path.join(lab.home, 'crashed'), path.join(lab.home, 'crash-again')];
  const task = await agents.play({}, [{ once: mark, do: [{ exit: 3 }] }, { waitFor: gate }, { exit: 3 }]);
  await lab.until('the second attempt', async () => (await agents.attempts(task)).length === 2);
  await lab.sql`
    UPDATE attempts SET ended_at = ended_at - interval '13 hours' WHERE task_id = ${task} AND attempt = 1`;
  await writeFile(gate, '');

  const says = /^2 attempts failed\. The last: .* exited with code 3/;
  await expectEnd(agents, task, { state: 'failed', code: 'agent_crashed', says, attempts: 2 });
});

test('the pause before another attempt grows, and is longer if the provider failed', async () => {
  expect(await agents.pauses(taskOf('exits with 3'))).toEqual([atLeast(1), atLeast(5)]);
  expect(await agents.pauses(taskOf('has a provider that is down'))).toEqual([atLeast(5), atLeast(30)]);
});

test("an agent that dies while it loads the session's earlier conversation begins a new one, in a new process", async () => {
  const { lab } = agents;
  const agent = await agents.agent({ load: { replay: [text('old words'), CALL], exit: 3 } });
  const input = JSON.stringify([...HALF, { stop: 'end_turn' }]);
  const sessionId = (await lab.ended(await lab.submit({ agent, input }))).session_id ?? '';
  const second = await lab.submit({ agent, sessionId, input: JSON.stringify([{ update: text('new words') }, { stop: 'end_turn' }]) }); // prettier-ignore

  expect(await lab.ended(second)).toMatchObject({ state: 'completed', error_code: null });
  expect(await agents.attempts(second)).toEqual([null]);
  expect(await agents.content(second)).toBe('new words');
  const frames = await lab.frames(second);
  expect(frames.filter(({ type }) => type === 'tool_call')).toEqual([]);
  const lost = `${agent} could not continue the session's earlier conversation`;
  expect(frames.filter(({ type }) => type === 'warning').map(({ body }) => body['message'])).toEqual([expect.stringContaining(lost)]); // prettier-ignore
  expect(await lab.leftovers(second)).toEqual([]);
});

test('tasks beside them complete at their first attempt, in the same worker', async () => {
  for (const task of neighbours) await agents.expectUndisturbed(task);
});

test('every message fits one line of a list, names the agent, and contains no control characters', async () => {
  for (const task of tasks.values()) {
    const { output_summary: summary } = await agents.lab.task(task);
    expect(summary?.length).toBeLessThanOrEqual(500);
    expect(summary).toMatch(/agent-\d+|not-there|The agent/);
    expect(summary).not.toContain('\0');
  }
});
