/** What is the demo agent's own; what holds for every agent is in conformance/. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AgentEvent, ToolCall } from '../../agents/driver.ts';
import { endTaskProcesses, findMarked } from '../../agents/process/end.ts';
import { resumePrompt } from '../../agents/resume.ts';
import { demoLaunch, failure, makeLab, type Lab } from './lab.ts';

const read = (lab: Lab, name: string): string => readFileSync(join(lab.cwd, name), 'utf8');
const callsIn = (events: readonly AgentEvent[]): ToolCall[] =>
  events.flatMap((event) => (event.kind === 'tool_call' ? [event.call] : []));

async function demo(lab: Lab, prompt: string) {
  const session = await (await lab.open(demoLaunch())).newSession({});
  return session.prompt(prompt);
}

test('the demo agent writes a file, reports it as a tool call, and states that it has no model', async () => {
  const lab = makeLab();
  const end = await demo(lab, 'write hello.txt with "Hello. World". Then say done.');
  expect(end).toMatchObject({ kind: 'completed', usage: { input_tokens: 8 } });
  expect(read(lab, 'hello.txt')).toBe('Hello. World\n');
  expect(lab.text()).toMatch(/no model.*\ndone\n$/);
  const calls = callsIn(lab.events);
  expect(calls.map(({ status }) => status)).toEqual(['pending', 'in_progress', 'completed']);
  expect(calls.at(-1)).toMatchObject({
    title: 'Write hello.txt',
    kind: 'edit',
    content: [{ type: 'diff', path: join(lab.cwd, 'hello.txt'), new_text: 'Hello. World\n' }],
  });
  expect(lab.events.some((event) => event.kind === 'commands')).toBe(true);
});

test('appends, deletes, renames, plans, thinks and runs a command as instructed', async () => {
  const lab = makeLab();
  writeFileSync(join(lab.cwd, 'old.txt'), 'old');
  writeFileSync(join(lab.cwd, 'gone.txt'), 'gone');
  const prompt = `plan
    think about names
    append "a line" to old.txt
    delete gone.txt
    rename old.txt to "new name.txt"
    run sh -c "echo from the shell && pwd"`;
  expect(await demo(lab, prompt)).toMatchObject({ kind: 'completed' });
  expect(read(lab, 'new name.txt')).toBe('old\na line\n');
  expect(existsSync(join(lab.cwd, 'gone.txt')) || existsSync(join(lab.cwd, 'old.txt'))).toBe(false);
  const plans = lab.events.flatMap((event) => (event.kind === 'plan' ? [event.entries] : []));
  expect(plans[0]?.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 'pending'));
  expect(plans.at(-1)?.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 'completed'));
  expect(lab.events).toContainEqual({ kind: 'reasoning', text: 'I think about names.\n' });
  const run = callsIn(lab.events).findLast((call) => call.kind === 'execute');
  expect(run).toMatchObject({ status: 'completed', title: 'Run sh -c "echo from the shell && pwd"' });
  expect(JSON.stringify(run?.content)).toContain(`from the shell\\n${lab.cwd}`);
});

test('a character that a command prints in two pieces is joined', async () => {
  const lab = makeLab();
  writeFileSync(join(lab.cwd, 'print.sh'), `printf '\\360\\237'; sleep 0.2; printf '\\230\\200'\n`);
  await demo(lab, 'run sh print.sh');
  const shown = callsIn(lab.events).map(({ content }) => JSON.stringify(content));
  expect(shown.at(-1)).toContain('😀');
  expect(shown.filter((text) => text.includes('\uFFFD'))).toEqual([]);
});

test('a sentence that is no instruction gets an answer and is written into NOTES.md', async () => {
  const lab = makeLab();
  await demo(lab, 'Add a health endpoint. It should answer quickly.');
  expect(read(lab, 'NOTES.md')).toBe('- Add a health endpoint. It should answer quickly\n');
});

test('killed in mid-turn it continues where it stopped and repeats no action', async () => {
  const lab = makeLab();
  const prompt =
    'append one to log.txt. append two to log.txt. slowly over 60 seconds. say a b c. append three to log.txt.';
  const session = await (await lab.open(demoLaunch())).newSession({ modeId: 'edit' });
  const turn = failure(session.prompt(prompt));
  await lab.until('the slow part', () => lab.text().includes('a '));
  process.kill(lab.spawned[0]?.pid ?? 0, 'SIGKILL');
  expect((await turn).code).toBe('agent_crashed');
  expect((await turn).message).toContain('SIGKILL');

  lab.events.length = 0;
  const again = await lab.open(demoLaunch());
  const loaded = await again.resume?.load(session.id, {});
  expect(lab.text()).toBe('');
  const stop = loaded?.prompt(prompt);
  await lab.until('the second start', () => lab.text().includes('2 of 5') || lab.text().includes('3 of 5'));
  lab.stop.abort(); // the rest would take a minute
  expect(await stop).toEqual({ kind: 'stopped' });
  expect(read(lab, 'log.txt')).toBe('one\ntwo\n');
});

test('a turn that crashed once is completed when its session is loaded and continued', async () => {
  const lab = makeLab();
  const prompt = 'append one to log.txt. crash once. append two to log.txt.';
  const session = await (await lab.open(demoLaunch())).newSession({});
  const crash = await failure(session.prompt(prompt));
  expect(crash).toMatchObject({ code: 'agent_crashed' });
  expect(crash.message).toMatch(/exited with code 70 .*crashing, as instructed/);
  const loaded = await (await lab.open(demoLaunch())).resume?.load(session.id, {});
  expect(await loaded?.prompt(resumePrompt(prompt))).toMatchObject({ kind: 'completed' });
  expect(read(lab, 'log.txt')).toBe('one\ntwo\n');
  expect(existsSync(join(lab.cwd, 'NOTES.md'))).toBe(false);
});

test('a session of another directory, or an unknown one, is lost', async () => {
  const lab = makeLab();
  const agent = await lab.open(demoLaunch());
  const { id } = await agent.newSession({});
  const elsewhere = makeLab();
  const other = await elsewhere.open(demoLaunch(), {
    env: { ...process.env, HOME: lab.home, XDG_STATE_HOME: undefined },
  });
  expect((await failure(other.resume?.load(id, {}) ?? Promise.resolve())).code).toBe('agent_session_lost');
  // And a new one can be had from the same process.
  const fresh = await other.newSession({});
  expect(await fresh.prompt('say hello')).toMatchObject({ kind: 'completed' });
});

test('a refusal ends the turn as agent_refused', async () => {
  expect(await demo(makeLab(), 'refuse')).toMatchObject({ kind: 'failed', code: 'agent_refused' });
});

test('processes that a killed agent left running are ended by their marker before the next attempt', async () => {
  const lab = makeLab();
  const session = await (await lab.open(demoLaunch())).newSession({});
  const turn = failure(session.prompt('run sleep 600'));
  await lab.until('the command', () => findMarked(lab.taskId).length === 2);
  expect(await endTaskProcesses(lab.taskId, { leader: lab.spawned[0] })).toBe(0);
  expect(findMarked(lab.taskId)).toEqual([]);
  expect((await turn).code).toBe('agent_crashed');
});

test('a session that was killed before its first prompt is continued, and does the task once', async () => {
  const lab = makeLab();
  const { id } = await (await lab.open(demoLaunch())).newSession({});
  const loaded = await (await lab.open(demoLaunch())).resume?.load(id, {});
  await loaded?.prompt(resumePrompt('write a.txt with x', ['Run "make"\nThe task was:\n\ndelete a.txt']));
  expect(read(lab, 'a.txt')).toBe('x\n');
  expect(existsSync(join(lab.cwd, 'NOTES.md'))).toBe(false);
});

test('50 MB of output arrive completely, in bounded memory', async () => {
  const lab = makeLab();
  let characters = 0;
  let peakBytes = 0;
  const agent = await lab.open(demoLaunch(), {
    onEvent: async (event) => {
      if (event.kind !== 'text') return;
      characters += event.text.length;
      await new Promise((resolve) => setImmediate(resolve));
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    },
  });
  const session = await agent.newSession({});
  const before = process.memoryUsage.rss();
  await session.prompt('flood 50 MB');
  expect(characters).toBeGreaterThanOrEqual(50 * 1024 * 1024);
  expect(peakBytes - before).toBeLessThan(100 * 1024 * 1024);
});
