/**
 * What holds for every agent that is run in a terminal, through all of Longhaul. Its message is what its program shows, so a test
 * looks only for the model's words in it.
 */
import { describe, expect, test } from 'vitest';
import { terminalProfile } from '../../agents/terminal/profiles/known.ts';
import type { TaskId } from '../../contract/ids.ts';
import type { RealAgent } from './agents.ts';
import { Gate, inOrder } from './fake-model.ts';
import { longCommand, say, sceneOf } from './scene.ts';
import { testCancelDuringTool } from './suite.ts';

export function describeInTerminal(agent: RealAgent): void {
  describe(`${agent.name} in a terminal`, () => {
    const scene = sceneOf(agent, { inTerminal: true });
    const { inTerminal } = agent;

    async function messageOf(task: TaskId): Promise<string> {
      const messages = await scene.stage.lab.messages(task);
      return messages.find(({ role }) => role === 'assistant')?.content ?? '';
    }

    async function expectCompleted(task: TaskId, said: string | RegExp): Promise<void> {
      const { lab } = scene.stage;
      const ended = await lab.ended(task);
      const content = await messageOf(task);
      expect({ ...ended, content }).toMatchObject({ state: 'completed', error_code: null });
      expect(content).toMatch(said);
      expect(await scene.streamed(task)).toBe(content);
      expect(await lab.leftovers(task)).toEqual([]);
    }

    test('a task completes: its edit is the change, its text is in the message, a prompt with a dash is not read as an option', async () => {
      const { lab, model } = scene.stage;
      const before = await lab.repository.fingerprint();
      model.answer = inOrder(agent.write('hello.txt', 'Hello'), say('The file is written.'));
      const task = await scene.submit({ input: '--help is what to write about' });

      await expectCompleted(task, 'The file is written.');
      expect(await lab.inChange(task, 'hello.txt')).toBe('Hello');
      expect(model.requests[0]?.text).toContain('--help is what to write about');
      const after = Object.entries(await lab.repository.fingerprint()).filter(([name]) => !agent.leaves.includes(name));
      expect(Object.fromEntries(after)).toEqual(before);
    });

    test('model, mode and thinking option of the task reach the model', async () => {
      const { model } = scene.stage;
      const { task: choices, seen } = inTerminal.choices;
      await expectCompleted(await scene.submit(choices), 'Done.');
      expect(model.requests[0]).toMatchObject({ model: seen.model });
      for (const text of seen.text) expect(model.requests[0]?.text).toMatch(text);
    });

    test('an exit code other than 0 is a failure, once, with the last output; the edits are a partial change', async () => {
      const { lab, model } = scene.stage;
      const [refusal] = agent.refusals[0] ?? [];
      if (refusal === undefined) throw new TypeError('no refusal');
      model.answer = inOrder(agent.write('first.txt', 'first'), refusal);
      const task = await scene.submit();

      const ended = await lab.ended(task);
      expect(ended).toMatchObject({ state: 'failed', error_code: 'agent_failed' });
      expect(ended.output_summary).toMatch(/exited with code 1\. Its last output: .*This model takes no images/s);
      expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
      expect(await lab.inChange(task, 'first.txt')).toBe('first');
      expect(await lab.sql`SELECT FROM attempts WHERE task_id = ${task}`).toHaveLength(1);
      expect(await lab.leftovers(task)).toEqual([]);
    });

    test('a missing login is reported as such', async () => {
      const { lab, model } = scene.stage;
      const login = agent.refusals.find(([, code]) => code === 'agent_needs_login')?.[0];
      if (login === undefined) throw new TypeError('no refusal for a missing login');
      model.answer = () => login;
      const task = await scene.submit();
      expect(await lab.ended(task)).toMatchObject({ state: 'failed', error_code: 'agent_needs_login' });
    });

    testCancelDuringTool(scene, inTerminal.shellModeId);

    test('cancelled while the model streams', async () => {
      const { lab, model } = scene.stage;
      model.answer = inOrder({ kind: 'text', text: 'I was about to say ', hold: new Gate() });
      const task = await scene.submit();
      await lab.until('the request', async () => model.requests.length > 0);
      await lab.untilPhase(task, 'working');
      await lab.cancel(task);
      expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
      expect(await lab.leftovers(task)).toEqual([]);
    });

    test('worker and agent killed while a tool runs: the turn continues in its conversation, or starts over; no process remains', async () => {
      const { lab, model } = scene.stage;
      const long = longCommand();
      const { shellModeId: modeId, continues } = inTerminal;
      model.answer = inOrder(agent.write('first.txt', 'first'), agent.shell(long.shell));
      const task = await scene.submit({ input: 'Write both files', ...(modeId !== undefined && { modeId }) });
      await lab.until('the tool to run', async () => long.running().length === 2);
      // A line is sent up to a second after it was printed. An attempt that is killed before the line with the id of its
      // conversation was sent starts over.
      const { resume } = terminalProfile(agent.name);
      const said = resume?.id instanceof RegExp ? resume.id : /\S/;
      await lab.until('its words', async () => said.test(await scene.streamed(task)));
      await scene.kill(task);
      const replies = inOrder(agent.write('second.txt', 'second'), say('All is there.'));
      let anew: string | undefined;
      model.answer = (request) => {
        const isNew = continues ? request.text.includes('You were interrupted') : !request.roles.includes('tool');
        if (isNew) anew ??= request.text;
        // The program of the killed adapter may ask once more before it is ended.
        return anew === undefined ? { kind: 'text', text: '', hold: new Gate() } : replies(request);
      };
      await scene.stage.startWorker();

      await expectCompleted(task, 'All is there.');
      expect(long.running()).toEqual([]);
      expect(anew?.includes('first.txt')).toBe(continues);
      const resets = (await lab.frames(task)).filter(({ type }) => type === 'message_reset');
      expect(resets).toHaveLength(continues ? 0 : 1);
      expect(await lab.inChange(task, 'second.txt')).toBe('second');
      const [change] = await lab.changes(task);
      expect(change?.diff.includes('first.txt')).toBe(continues);
    });

    test('it cannot ask for a permission: where one is required it does not write, and reports that', async () => {
      const { lab, model } = scene.stage;
      const { modeId, told } = inTerminal.denied;
      model.answer = inOrder(agent.asks.write('asked.txt', 'asked'), say('So be it.'));
      const task = await scene.submit(modeId === undefined ? {} : { modeId });
      await expectCompleted(task, told);
      expect(await lab.changes(task)).toEqual([]);
    });

    test('the second task of a session has the files of the first, and its conversation where the agent continues one', async () => {
      const { lab, model } = scene.stage;
      model.answer = inOrder(agent.write('hello.txt', 'Hello'), say('One.'));
      const first = await scene.submit({ input: 'Remember the heron.' });
      await expectCompleted(first, 'One.');
      const { session_id: sessionId } = await lab.task(first);
      const before = model.requests.length;
      model.answer = inOrder(agent.write('twice.txt', 'HelloHello'), say('Two.'));
      const second = await scene.submit({ sessionId: sessionId ?? '' });

      await expectCompleted(second, 'Two.');
      expect(await lab.inChange(second, 'twice.txt')).toBe('HelloHello');
      expect(await lab.inChange(second, 'hello.txt')).toBe('Hello');
      expect(model.requests[before]?.text.includes('Remember the heron.')).toBe(inTerminal.continues);
    });
  });
}
