/** How a turn ends that does not end by itself, and that nothing of the agent is left. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { identify, isAlive } from '../../processes/identity.ts';
import { findMarked } from '../../agents/process/end.ts';
import { decideByPolicy } from '../../agents/permission-policy.ts';
import { failure, makeLab, PATIENT, scriptedLaunch, scriptedSession } from './lab.ts';
import { text, permission, ALLOW_ONCE } from './scripts.ts';

test('a line of more than 16 MB ends the turn as output_overflow', async () => {
  const lab = makeLab();
  const { session, agent } = await scriptedSession(lab);
  const chunk = 'x'.repeat(1024 * 1024);
  const steps = Array.from({ length: 17 }, () => ({ raw: chunk }));
  expect(await failure(session.prompt(JSON.stringify([...steps, { hang: true }])))).toMatchObject({
    code: 'output_overflow',
  });
  expect(isAlive(agent.process)).toBe(false);
});

test('an agent that dies in mid-turn is agent_crashed with its last output, and its open call is closed', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab);
  const call = { sessionUpdate: 'tool_call', toolCallId: 'a', title: 'Build' };
  const error = await failure(play({ stderr: 'out of memory\n' }, { update: call }, { kill: 'SIGKILL' }));
  expect(error).toMatchObject({ code: 'agent_crashed' });
  expect(error.message).toMatch(/SIGKILL.*out of memory/);
  expect(lab.events.at(-1)).toMatchObject({ kind: 'tool_call', call: { status: 'failed' } });
});

test('an agent that closes its output is agent_crashed and ended', async () => {
  const { play, agent } = await scriptedSession(makeLab(), { ignoreEof: true });
  expect(await failure(play({ closeStdout: true }, { hang: true }))).toMatchObject({ code: 'agent_crashed' });
  expect(isAlive(agent.process)).toBe(false);
});

test('an agent that answers and exits at once has completed its turn', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab);
  expect(await play({ update: text('done') }, { stop: 'end_turn' }, { exit: 0 })).toEqual({ kind: 'completed' });
});

test('a silent agent is agent_stalled and ended', async () => {
  const lab = makeLab();
  const timeouts = { ...PATIENT, stallMs: 300 };
  const { play, agent } = await scriptedSession(lab, {}, { timeouts });
  const error = await failure(play({ stderr: 'retrying\n' }, { hang: true }));
  expect(error).toMatchObject({ code: 'agent_stalled' });
  expect(error.message).toContain('retrying');
  expect(isAlive(agent.process)).toBe(false);
});

test('an open tool call may be silent for longer, up to a limit', async () => {
  const build = { sessionUpdate: 'tool_call', toolCallId: 'a', title: 'npm run build', status: 'in_progress' };
  const lab = makeLab();
  const patient = await scriptedSession(lab, {}, { timeouts: { ...PATIENT, stallMs: 300 } });
  const end = await patient.play(
    { update: build },
    { sleepMs: 1_500 },
    { update: text('built') },
    { stop: 'end_turn' },
  );
  expect(end).toEqual({ kind: 'completed' });

  const { play } = await scriptedSession(makeLab(), {}, { timeouts: { ...PATIENT, stallMs: 300, toolMs: 600 } });
  const error = await failure(play({ update: build }, { hang: true }));
  expect(error).toMatchObject({ code: 'agent_stalled' });
  expect(error.message).toMatch(/"npm run build".*LONGHAUL_AGENT_TOOL_TIMEOUT/);
});

test('neither a permission request that waits for a person nor a slow reader makes an agent stall', async () => {
  const lab = makeLab();
  // Longer than the stall timeout: no event shows that the driver does not stall.
  const pause = () => new Promise((resolve) => setTimeout(resolve, 500));
  const { play } = await scriptedSession(
    lab,
    {},
    {
      timeouts: { ...PATIENT, stallMs: 300 },
      onEvent: async () => void (await pause()),
      onPermission: async (ask) => {
        await pause();
        return decideByPolicy('allow', ask);
      },
    },
  );
  expect(await play({ update: text('slow') }, permission(ALLOW_ONCE), { stop: 'end_turn' })).toMatchObject({
    kind: 'completed',
  });
});

test('while an event is being handled no further event is handled and stdout is not read', async () => {
  const lab = makeLab();
  const order: string[] = [];
  let release = (): void => {};
  const { play } = await scriptedSession(
    lab,
    {},
    {
      onEvent: async (event) => {
        if (event.kind !== 'text') return;
        order.push(`begin ${event.text.slice(0, 5)}`);
        if (event.text === 'first') await new Promise<void>((resolve) => (release = resolve));
        order.push(`end ${event.text.slice(0, 5)}`);
      },
    },
  );
  const before = process.memoryUsage.rss();
  const turn = play({ update: text('first') }, { flood: 100, characters: 500_000 }, { stop: 'end_turn' });
  await lab.until('the first event', () => order.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 700)); // a driver that reads has 50 MB by then; no event shows that it does not
  expect(order).toEqual(['begin first']);
  expect(process.memoryUsage.rss() - before).toBeLessThan(25 * 1024 * 1024);
  release();
  expect(await turn).toEqual({ kind: 'completed' });
  expect(order.slice(0, 4)).toEqual(['begin first', 'end first', 'begin xxxxx', 'end xxxxx']);
});

test('an event that cannot be handled ends the turn with that error, and the agent', async () => {
  const lab = makeLab();
  const { play, agent } = await scriptedSession(
    lab,
    {},
    {
      onEvent: () => Promise.reject(new Error('fenced off')),
    },
  );
  const error = await failure(play({ update: text('x') }, { hang: true }));
  expect(error.message).toContain('fenced off');
  expect(isAlive(agent.process)).toBe(false);
});

test('a stop in mid-turn cancels the turn, answers open requests with cancelled, and ends the agent', async () => {
  const lab = makeLab();
  const { play, agent } = await scriptedSession(
    lab,
    { ignoreCancel: true },
    {
      onPermission: (ask) => {
        lab.asks.push(ask);
        return new Promise(() => {});
      },
    },
  );
  const turn = play(permission(ALLOW_ONCE), { echo: 'received' }, { stop: 'cancelled' });
  await lab.until('the question', () => lab.asks.length === 1);
  lab.stop.abort();
  expect(await turn).toEqual({ kind: 'stopped' });
  // The cancel is sent first: otherwise the agent would take the answer for a refusal and continue.
  expect(lab.text()).toMatch(/^\{"outcome":\{"outcome":"cancelled"\}\}.*session\/cancel.*answerTo/);
  expect(isAlive(agent.process)).toBe(false);
});

test('an agent that ignores the cancel, its closed stdin and SIGTERM is killed', async () => {
  const lab = makeLab();
  const stubborn = { ignoreCancel: true, ignoreTerm: true, ignoreEof: true };
  const { play, agent } = await scriptedSession(lab, stubborn);
  const turn = play({ update: text('working') }, { hang: true });
  await lab.until('work', () => lab.text() !== '');
  lab.stop.abort();
  expect(await turn).toEqual({ kind: 'stopped' });
  expect(isAlive(agent.process)).toBe(false);
});

test('after a stop before the turn, opening fails and no prompt is sent', async () => {
  const lab = makeLab();
  const opening = failure(lab.open(scriptedLaunch({ initialize: 'hang' })));
  await lab.until('the spawn', () => lab.spawned.length === 1);
  lab.stop.abort();
  expect(await opening).toMatchObject({ code: 'terminated' });
  expect(findMarked(lab.taskId)).toEqual([]);

  const before = makeLab();
  before.stop.abort();
  expect(await failure(before.open(scriptedLaunch()))).toMatchObject({ code: 'terminated' });

  const later = makeLab();
  const { play } = await scriptedSession(later);
  later.stop.abort();
  expect(await play({ update: text('x') }, { stop: 'end_turn' })).toEqual({ kind: 'stopped' });
  expect(later.events).toEqual([]);
});

test('closing ends the processes of the group, marked or not, and those outside it that carry the marker', async () => {
  const lab = makeLab();
  const { play, agent } = await scriptedSession(lab, { ignoreEof: true });
  await play(
    { spawn: ['sleep', '600'], setsid: false },
    { spawn: ['env', '-i', '/bin/sleep', '600'], setsid: false },
    { spawn: ['sleep', '601'], setsid: true },
    { spawn: ['sh', '-c', 'trap "" TERM; sleep 602 & sleep 603'], setsid: true },
    { stop: 'end_turn' },
  );
  const children = lab
    .text()
    .trim()
    .split(' ')
    .flatMap((pid) => identify(Number(pid)) ?? []);
  expect(children).toHaveLength(4);
  await lab.until('the children of the children', () => findMarked(lab.taskId).length >= 6);
  await agent.close();
  await agent.close();
  expect(findMarked(lab.taskId)).toEqual([]);
  expect(children.filter(isAlive)).toEqual([]);
});

test('an agent that does not exit by itself gets SIGTERM, and has time to clean up', async () => {
  const lab = makeLab();
  const onTerm = join(lab.cwd, 'tidied');
  const { agent } = await scriptedSession(lab, { ignoreEof: true, onTerm });
  await agent.close();
  expect(existsSync(onTerm)).toBe(true);
});

test('an outdated attempt that closes late does not end the agent of its successor', async () => {
  const lab = makeLab();
  const first = await scriptedSession(lab);
  const second = await scriptedSession(lab);
  await first.agent.close();
  expect(isAlive(second.agent.process)).toBe(true);
  expect(await second.play({ stop: 'end_turn' })).toEqual({ kind: 'completed' });
});
