/**
 * What holds for every agent, through the whole of Longhaul: a row in, the agent at work in its worktree, a
 * change out. The model is ours and does what the test says; everything else is real.
 */
import { describe, expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { type Answer, Gate, inOrder } from './fake-model.ts';
import { longCommand, say, type Scene, speaks } from './scene.ts';

export function describeRealAgent(scene: Scene): void {
  describeWork(scene);
  describePermissions(scene);
  describeKills(scene);
  describeRefusals(scene);
}

function describeWork(scene: Scene): void {
  const { agent } = scene;

  test('a task completes: file in the change, text and tool calls in the message, tokens counted', async () => {
    const { lab, model } = scene.stage;
    const before = await lab.repository.fingerprint();
    model.answer = inOrder(agent.write('hello.txt', 'Hello'), say('The file is written.'));
    const task = await scene.submit();

    await scene.expectCompleted(task, 'The file is written.');
    expect(await lab.inChange(task, 'hello.txt')).toBe('Hello');
    const { kind, title } = agent.writeCall;
    const call = { kind, title: expect.stringMatching(title) as string, status: 'completed' };
    expect(await scene.toolCalls(task)).toMatchObject([call]);
    const frames = await lab.frames(task);
    expect(frames.findLast((frame) => frame.type === 'tool_call')?.body).toMatchObject({ call });
    const [tokens] = await lab.sql`
      SELECT t.cost_tokens::int AS task, m.tokens_used::int AS message
        FROM tasks t JOIN messages m ON m.id = t.message_id WHERE t.id = ${task}`;
    expect(tokens).toEqual({ task: agent.turnTokens, message: agent.turnTokens });
    const after = Object.entries(await lab.repository.fingerprint()).filter(([name]) => !agent.leaves.includes(name));
    expect(Object.fromEntries(after)).toEqual(before);
  });

  test('model, mode and thinking option of the task reach the model', async () => {
    const { model } = scene.stage;
    const task = await scene.submit(agent.choices.task);
    await scene.expectCompleted(task, 'Done.');
    expect(model.requests[0]).toMatchObject({ model: agent.choices.seen.model });
    for (const text of agent.choices.seen.text) expect(model.requests[0]?.text).toMatch(text);
  });

  test.each([
    ['model', 'model', agent.choices.models],
    ['mode', 'modeId', agent.choices.modes],
  ] as const)(
    'an unknown %s fails the task at once, and the message lists the known ones',
    async (what, key, offered) => {
      const { lab, model } = scene.stage;
      const task = await scene.submit({ [key]: 'best-of-all' });
      const end = await lab.ended(task);
      expect(end).toMatchObject({ state: 'failed', error_code: 'option_not_available' });
      expect(end.output_summary).toContain(`does not offer the ${what} "best-of-all"`);
      for (const id of offered) expect(end.output_summary).toContain(id);
      expect(model.requests).toEqual([]);
    },
  );

  test('the second task of a session continues the conversation of the first, from its result', async () => {
    const { lab, model } = scene.stage;
    model.answer = inOrder(agent.write('hello.txt', 'Hello'), say('One.'));
    const first = await scene.submit({ input: 'Remember the heron.' });
    await scene.expectCompleted(first, 'One.');
    const { session_id: sessionId } = await lab.task(first);
    const before = model.requests.length;
    model.answer = inOrder(agent.shell('cat hello.txt hello.txt > twice.txt'), say('Two.'));
    const second = await scene.submit({ sessionId: sessionId ?? '' });

    await scene.expectCompleted(second, 'Two.');
    expect(await lab.inChange(second, 'twice.txt')).toBe('HelloHello');
    const [asked] = model.requests.slice(before);
    const remembers = asked?.text.includes('Remember the heron.') ?? false;
    if (agent.alwaysResumes) expect(remembers).toBe(true);
    const lost = /^\w+ could not continue the session's earlier conversation/;
    expect(await scene.warnings(second)).toEqual(remembers ? [] : [expect.stringMatching(lost)]);
    const tokens = await lab.sql`
      SELECT tokens_used::int AS tokens FROM messages
       WHERE task_id IN (${first}, ${second}) AND role = 'assistant' ORDER BY created_at`;
    expect(tokens).toEqual([{ tokens: agent.turnTokens }, { tokens: agent.turnTokens }]);
  });

  test('two concurrent tasks do not affect each other', async () => {
    const { lab, model } = scene.stage;
    const both = new Gate();
    const scripts = new Map<string, Answer>();
    for (const name of ['anna', 'bert']) scripts.set(name, inOrder(agent.write(`${name}.txt`, name), say(`${name}.`)));
    const met = new Set<string>();
    model.answer = async (request) => {
      const name = [...scripts.keys()].find((one) => request.text.includes(`I am ${one}`)) ?? '';
      met.add(name);
      if (met.size === 2) both.open();
      await both.opened; // each is at work before either goes on
      return scripts.get(name)?.(request) ?? say('Who are you?');
    };
    const tasks = await Promise.all([...scripts.keys()].map((name) => scene.submit({ input: `I am ${name}` })));
    await Promise.all(tasks.map((task) => lab.ended(task)));
    for (const [index, name] of [...scripts.keys()].entries()) {
      const task = tasks[index] as TaskId;
      await scene.expectCompleted(task, `${name}.`);
      expect(await lab.inChange(task, `${name}.txt`)).toBe(name);
    }
  });
}

function describePermissions(scene: Scene): void {
  const { agent } = scene;
  const ask = async (permissionPolicy: string): Promise<TaskId> => {
    const { modeId } = agent.asks;
    scene.stage.model.answer = inOrder(agent.asks.write('asked.txt', 'asked'), say('So be it.'));
    return scene.submit({ permissionPolicy, ...(modeId === undefined ? {} : { modeId }) });
  };

  test('asked under the policy "allow": the file is written', async () => {
    const task = await ask('allow');
    await scene.expectCompleted(task, 'So be it.');
    expect(await scene.stage.lab.inChange(task, 'asked.txt')).toBe('asked');
    expect(await scene.warnings(task)).toEqual([]);
  });

  test('asked under the policy "deny": nothing is written, and a warning names what was denied', async () => {
    const { lab } = scene.stage;
    const task = await ask('deny');
    expect(await lab.ended(task)).toMatchObject({ state: agent.denied.state, error_code: agent.denied.code });
    expect(await lab.changes(task)).toEqual([]);
    expect(await scene.toolCalls(task)).toMatchObject([{ status: 'failed' }]);
    expect(await scene.warnings(task)).toEqual([expect.stringMatching(/^Not allowed.*"deny": .*asked\.txt/)]);
    expect(await lab.leftovers(task)).toEqual([]);
  });
}

/** `modeId`: the mode in which the agent runs commands without a request. */
export function testCancelDuringTool(scene: Scene, modeId?: string): void {
  test('cancelled while a tool runs: no process continues, the edits are kept', async () => {
    const { agent } = scene;
    const { lab, model } = scene.stage;
    const long = longCommand();
    model.answer = inOrder(agent.write('first.txt', 'first'), agent.shell(long.shell));
    const task = await scene.submit(modeId === undefined ? {} : { modeId });
    await lab.until('the tool to run', async () => long.running().length === 2);
    await lab.untilPhase(task, 'working');
    await lab.cancel(task);

    expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
    expect(long.running()).toEqual([]);
    expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
    expect(await lab.inChange(task, 'first.txt')).toBe('first');
    expect(await lab.leftovers(task)).toEqual([]);
  });
}

function describeKills(scene: Scene): void {
  const { agent } = scene;

  test("worker and agent killed while the model streams: the next attempt continues in the agent's session", async () => {
    const { lab, model } = scene.stage;
    const said = 'The first file is there and now comes the second.';
    const words = { kind: 'text', text: said, hold: new Gate() } as const;
    model.answer = inOrder(agent.write('first.txt', 'first'), words);
    const task = await scene.submit({ input: 'Write both files' });
    await lab.until('all of its words', async () => (await scene.streamed(task)) === said);
    await scene.kill(task);
    const before = model.requests.length;
    model.answer = inOrder(agent.write('second.txt', 'second'), say(' Both are there.'));
    await scene.stage.startWorker();

    await lab.ended(task);
    if (await scene.startedOver(task)) return scene.expectCompleted(task, ' Both are there.');
    // Another attempt begins a paragraph.
    await scene.expectCompleted(task, `${said}\n\n Both are there.`);
    const [asked] = model.requests.slice(before);
    expect(asked?.roles).toContain('tool'); // what the first call gave
    expect(asked?.text).toContain('first.txt');
    expect(asked?.text).toContain('You were interrupted');
    expect((await scene.toolCalls(task)).map(({ status }) => status)).toEqual(['completed', 'completed']);
    expect(await lab.changes(task)).toMatchObject([{ partial: false }]);
    expect(await lab.inChange(task, 'first.txt')).toBe('first');
    expect(await lab.inChange(task, 'second.txt')).toBe('second');
  });

  test('model, mode and thinking option stand after worker and agent are killed, as the agent reports them', async () => {
    const { lab, model } = scene.stage;
    const words = { kind: 'text', text: 'These words are interrupted.', hold: new Gate() } as const;
    model.answer = inOrder(words);
    const task = await scene.submit(agent.choices.task);
    await lab.until('its words', async () => (await scene.streamed(task)) !== '');
    model.answer = inOrder(say('Continued.'));
    await scene.kill(task);
    words.hold.open();
    await scene.stage.startWorker();
    await lab.ended(task);
    const attempts = await lab.sql<
      { ran: unknown }[]
    >`SELECT ran FROM attempts WHERE task_id = ${task} ORDER BY attempt`;
    const { model: chosen, modeId: mode } = agent.choices.task;
    const thinking = agent.choices.task.thinkingOptionId ?? null;
    const ran = { model: chosen, mode, thinking, agent_version: expect.any(String) as string };
    expect(attempts.map((attempt) => attempt.ran)).toEqual([ran, ran]);
    expect(model.requests.at(-1)).toMatchObject({ model: agent.choices.seen.model });
  });

  test("worker and agent killed while a tool runs: the tool's processes are ended, its call is closed", async () => {
    const { lab, model } = scene.stage;
    const long = longCommand();
    model.answer = inOrder(agent.write('first.txt', 'first'), agent.shell(long.shell));
    const task = await scene.submit();
    await lab.until('the tool to run', async () => long.running().length === 2);
    // What the worker had not written yet when it was killed is nobody's to tell.
    await lab.until('both calls in the log', async () => {
      const calls = (await lab.frames(task)).filter(({ type }) => type === 'tool_call');
      return new Set(calls.map(({ body }) => (body['call'] as { tool_call_id: string }).tool_call_id)).size === 2;
    });
    await scene.kill(task);
    if (agent.toolsOutlive) expect(long.running()).not.toEqual([]);
    model.answer = inOrder(say('I have seen enough.'));
    await scene.stage.startWorker();

    await scene.expectCompleted(task, 'I have seen enough.');
    expect(long.running()).toEqual([]);
    const over = await scene.startedOver(task);
    const statuses = (await scene.toolCalls(task)).map(({ status }) => status);
    expect(statuses).toEqual(over ? [] : ['completed', 'failed']);
    if (over) expect(await lab.changes(task)).toEqual([]);
    else expect(await lab.inChange(task, 'first.txt')).toBe('first');
  });

  testCancelDuringTool(scene);

  test('cancelled while the model streams: its text is kept', async () => {
    const { lab, model } = scene.stage;
    model.answer = inOrder({ kind: 'text', text: 'I was about to say ', hold: new Gate() });
    const task = await scene.submit();
    await lab.untilFrame(task, 'words', speaks);
    await lab.cancel(task);

    expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
    const assistant = (await lab.messages(task)).filter((message) => message.role === 'assistant');
    expect(assistant).toMatchObject([{ status: 'cancelled', content: expect.stringContaining('I was') as string }]);
    expect(await lab.leftovers(task)).toEqual([]);
  });
}

function describeRefusals(scene: Scene): void {
  const { agent } = scene;

  describe.each(agent.refusals)("the model's server responds $status $message", (refusal, code, told) => {
    test(`the task fails with ${code} and a message with the reason`, async () => {
      const { lab, model } = scene.stage;
      model.answer = () => refusal;
      const task = await scene.submit();
      const end = await lab.ended(task);
      expect(end).toMatchObject({ state: 'failed', error_code: code });
      expect(end.output_summary).toMatch(told);
      expect(await lab.leftovers(task)).toEqual([]);
    });
  });

  test('a turn that the agent retries without output can be cancelled', async () => {
    const { lab, model } = scene.stage;
    model.answer = () => agent.retried;
    const task = await scene.submit();
    await lab.until('a second try', async () => model.requests.length >= 2);
    await lab.untilPhase(task, 'working'); // it comes by way of the workflow, a moment after the agent's requests
    await lab.cancel(task);
    expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
    expect(await lab.leftovers(task)).toEqual([]);
  });
}
