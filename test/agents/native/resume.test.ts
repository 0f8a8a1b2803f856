import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RunningAgent } from '../../../agents/driver.ts';
import { resumePrompt } from '../../../agents/resume.ts';
import { INTERRUPTED } from '../../../agents/native/repair-history.ts';
import { deferred } from '../../../contract/promises.ts';
import { thoughtOf } from '../../lab/model-server/history-rules.ts';
import { inOrder } from '../../lab/model-server/model-server.ts';
import { until } from '../lab.ts';
import { type NativeLab, nativeLab } from './lab.ts';

const TASK = 'Write two files';
const write = (path: string, content: string) => ({ tool: 'write', input: { path, content } });

/** SIGKILL to the agent alone, as the kernel's out-of-memory killer does. */
async function kill(lab: NativeLab, prompt: Promise<unknown>): Promise<void> {
  process.kill(lab.spawned.at(-1)?.pid ?? 0, 'SIGKILL');
  await expect(prompt).rejects.toMatchObject({ code: 'agent_crashed' });
}

test('killed between two edits and again in mid-stream: each edit is made once, no finished reply is requested twice', async () => {
  const never = deferred();
  const lab = await nativeLab(
    inOrder(
      { think: 'two', say: 'I write.', calls: [write('one.txt', 'one\n'), write('two.txt', 'two\n')] },
      { say: 'It is nearly', hold: never.promise },
      { say: 'Both are written.' },
    ),
  );
  const asked = deferred();
  const first = await lab.begin(
    {},
    {
      onPermission: async (ask) => {
        if (ask.toolCall.title === 'Create two.txt') {
          asked.resolve();
          await new Promise(() => {}); // the agent is killed while a person is asked
        }
        return { kind: 'selected', optionId: 'once' };
      },
    },
  );
  const one = first.session.prompt(TASK);
  await asked.promise;
  const firstWritten = readFileSync(join(lab.cwd, 'one.txt'), 'utf8');
  // An edit that would be made again shows here.
  writeFileSync(join(lab.cwd, 'one.txt'), `${firstWritten}and a line of a person\n`);
  await kill(lab, one);

  const second = await lab.resume(first.session.id);
  const two = second.session.prompt(resumePrompt(TASK));
  await until('the stream', () => lab.text().includes('nearly'));
  await kill(lab, two);

  const third = await lab.resume(first.session.id);
  expect(await third.session.prompt(resumePrompt(TASK))).toMatchObject({
    kind: 'completed',
    usage: { input_tokens: 200, output_tokens: 20 },
  });
  expect(readFileSync(join(lab.cwd, 'one.txt'), 'utf8')).toBe('one\nand a line of a person\n');
  expect(readFileSync(join(lab.cwd, 'two.txt'), 'utf8')).toBe('two\n');
  // Three requests: the one that was cut in mid-stream was not finished, and is asked again.
  expect(lab.model.requests.map(({ messages }) => messages.map(({ role }) => role))).toEqual([
    ['user'],
    ['user', 'assistant', 'tool'],
    ['user', 'assistant', 'tool'],
  ]);
  expect(lab.model.requests[2]?.messages[1]?.reasoning).toEqual([thoughtOf('m', 'two')]);
});

test('killed when the content of a file is written and its name is not: the working directory has nothing of it, and the edit is made once', async () => {
  const lab = await nativeLab(inOrder({ calls: [write('sub/one.txt', 'one\n')] }, { say: 'Written.' }));
  const killer = join(lab.home, 'killer.cjs');
  const code = `
    const fs = require('node:fs');
    const rename = fs.renameSync;
    fs.renameSync = (from, to) => (to.endsWith('one.txt') ? process.kill(process.pid, 'SIGKILL') : rename(from, to));
    require('node:module').syncBuiltinESMExports();`;
  writeFileSync(killer, code);
  const launch = { ...lab.launch, env: { ...lab.launch.env, NODE_OPTIONS: `--require ${killer}` } };
  const env = { ...process.env, ...lab.model.env('chat'), HOME: lab.home, XDG_STATE_HOME: undefined };
  const agent = await lab.open(launch, { env });
  const session = await agent.newSession({});
  await expect(session.prompt(TASK)).rejects.toMatchObject({ code: 'agent_crashed' });
  expect(readdirSync(lab.cwd, { recursive: true })).toEqual(['sub']);

  const second = await lab.resume(session.id);
  expect(await second.session.prompt(resumePrompt(TASK))).toMatchObject({ kind: 'completed' });
  expect(new Set<unknown>(readdirSync(lab.cwd, { recursive: true }))).toEqual(new Set(['sub', 'sub/one.txt']));
  expect(readFileSync(join(lab.cwd, 'sub', 'one.txt'), 'utf8')).toBe('one\n');
  expect(lab.model.requests).toHaveLength(2);
});

test('a command that ran when its agent was killed is not started again', async () => {
  const lab = await nativeLab(
    inOrder({ calls: [{ tool: 'run', input: { command: 'echo ran >> ran.txt; sleep 1000' } }] }, { say: 'I look.' }),
  );
  const first = await lab.begin();
  const one = first.session.prompt(TASK);
  await until('the command', () => existsSync(join(lab.cwd, 'ran.txt')));
  await kill(lab, one);
  const second = await lab.resume(first.session.id);
  expect(await second.session.prompt(resumePrompt(TASK))).toMatchObject({ kind: 'completed' });
  expect(readFileSync(join(lab.cwd, 'ran.txt'), 'utf8')).toBe('ran\n');
  expect(lab.model.requests[1]?.messages.at(-1)?.results[0]?.text).toMatch(/^Interrupted: the outcome is unknown/);
});

test('a turn that ended before its client was notified is not started again', async () => {
  const lab = await nativeLab(inOrder({ say: 'Done.' }));
  const first = await lab.begin();
  await first.session.prompt(TASK);
  const second = await lab.resume(first.session.id);
  const end = await second.session.prompt(resumePrompt(TASK));
  expect(end).toMatchObject({ kind: 'completed', usage: { input_tokens: 100 } });
  expect(lab.text()).toBe('Done.Done.');
  expect(lab.model.requests).toHaveLength(1);
});

test("a session's next prompt continues its conversation, and calls that a stop left open are answered", async () => {
  const lab = await nativeLab(
    inOrder({ calls: [{ tool: 'run', input: { command: 'echo waits; sleep 1000' } }] }, { say: 'Yes.' }),
  );
  const first = await lab.begin();
  const one = first.session.prompt('Run it');
  await until('the command', () => lab.calls()[0]?.output.includes('waits') ?? false);
  lab.stop.abort();
  expect(await one).toEqual({ kind: 'stopped' });
  const second = await lab.resume(first.session.id, { signal: new AbortController().signal });
  expect(await second.session.prompt('Did it run?')).toMatchObject({ kind: 'completed' });
  const [, said, result, user] = lab.model.requests[1]?.messages ?? [];
  expect([said?.role, result?.results[0]?.text, user?.texts]).toEqual(['assistant', INTERRUPTED, ['Did it run?']]); // prettier-ignore
});

test.each([
  ['its worker shuts down', (lab: NativeLab) => lab.stop.abort()],
  ['its worker is gone', (_lab: NativeLab, agent: RunningAgent) => void agent.close()],
])('asked for a permission when %s, it asks again and does what is allowed then', async (_when, end) => {
  const lab = await nativeLab(inOrder({ calls: [write('one.txt', 'one\n')] }, { say: 'Written.' }));
  const asked = deferred();
  const first = await lab.begin(
    {},
    {
      onPermission: async () => {
        asked.resolve();
        return new Promise(() => {}); // a person does not answer
      },
    },
  );
  const one = first.session.prompt(TASK).catch(() => {});
  await asked.promise;
  end(lab, first.agent);
  await one;
  await first.agent.close();
  const asks: string[] = [];
  const second = await lab.resume(first.session.id, {
    signal: new AbortController().signal,
    onPermission: async ({ toolCall }) => {
      asks.push(toolCall.title);
      return { kind: 'selected', optionId: 'once' };
    },
  });
  expect(await second.session.prompt(resumePrompt(TASK))).toMatchObject({ kind: 'completed' });
  expect(asks).toEqual(['Create one.txt']);
  expect(readFileSync(join(lab.cwd, 'one.txt'), 'utf8')).toBe('one\n');
  expect(lab.model.requests).toHaveLength(2);
});
