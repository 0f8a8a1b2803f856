import { rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { REAL_AGENTS } from './agents.ts';
import { Gate, inOrder } from './fake-model.ts';
import { sceneOf } from './scene.ts';
import { describeRealAgent } from './suite.ts';

const agent = REAL_AGENTS.gemini;
const scene = sceneOf(agent);
describeRealAgent(scene);

test('killed, and its sessions are deleted: the turn starts over on a clean worktree', async () => {
  const { lab, model, home } = scene.stage;
  model.answer = inOrder(agent.write('first.txt', 'first'), {
    kind: 'text',
    text: 'Now the second. ',
    hold: new Gate(),
  });
  const task = await scene.submit();
  await lab.untilFrame(task, 'words', ({ type }) => type === 'delta');
  await scene.kill(task);
  await rm(path.join(home, '.gemini', 'tmp'), { recursive: true });
  const before = model.requests.length;
  model.answer = inOrder(agent.shell('ls > there.txt'), { kind: 'text', text: 'All anew.' });
  await scene.stage.startWorker();

  await scene.expectCompleted(task, 'All anew.');
  expect(model.requests[before]?.roles).not.toContain('tool');
  expect((await lab.frames(task)).filter(({ type }) => type === 'message_reset')).toHaveLength(1);
  expect(await lab.inChange(task, 'there.txt')).not.toContain('first.txt');
});
