/** The disk of the worktrees is full: a small one of its own, mounted for these tests, which takes root. */
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mountSmallDisk, type SmallDisk } from '../lab/small-disk.ts';
import { expectEnd, FailingAgents, HALF, startFailingAgents, WHOLE_MS } from './lab.ts';

let agents: FailingAgents;
let disk: SmallDisk | undefined;

beforeAll(async () => {
  agents = await startFailingAgents({
    prepare: ({ home }) => {
      disk = mountSmallDisk(path.join(home, 'worktrees'), 12);
    },
  });
}, WHOLE_MS);
afterAll(async () => {
  disk?.unmount();
  await agents.close();
});

const write = { ask: 'fs/write_text_file', params: { sessionId: 's', path: 'more.txt', content: 'x'.repeat(100_000) } };

test('an agent that fills it gets ENOSPC, and its edits are kept', async () => {
  const task = await agents.play({}, [...HALF, { fill: 'big.bin' }, write, { stop: 'end_turn' }]);
  await expectEnd(agents, task, { state: 'completed', code: null, says: /ENOSPC.*ENOSPC/, attempts: 1 });
  expect(await agents.lab.changes(task)).toMatchObject([{ partial: false }]);
  expect(await agents.lab.inChange(task, 'half.txt')).toBe('half');
});

test('an agent that fails because of it: the edits so far are kept', async () => {
  const steps = [...HALF, { fill: 'big.bin' }, { stderr: 'ENOSPC: no space left on device\n' }, { exit: 1 }];
  const task = await agents.play({}, steps);
  const says = /exited with code 1 during its turn\. .*It said: ENOSPC/;
  await expectEnd(agents, task, { state: 'failed', code: 'agent_crashed', says, attempts: 3 });
  expect(await agents.lab.changes(task)).toMatchObject([{ partial: true }]);
});

test('a task that finds it full fails as disk_full, and the next task with free space completes', async () => {
  const hog = await agents.play({}, [...HALF, { fill: 'big.bin' }, { hang: true }]);
  await agents.lab.untilFrame(hog, 'the full disk', ({ body }) => String(body['content']).includes('ENOSPC'));
  const late = await agents.play({}, [...HALF, { stop: 'end_turn' }]);
  await agents.lab.ended(late);
  expect(await agents.lab.task(late)).toMatchObject({
    state: 'failed',
    error_code: 'disk_full',
    output_summary: expect.stringMatching(/ran out of disk space .*Free some|disk is full.*Free some/) as string,
  });
  await agents.lab.cancel(hog);
  await agents.lab.ended(hog);
  const [next] = await agents.neighbours(1);
  if (next !== undefined) await agents.expectUndisturbed(next);
  expect(await agents.lab.leftovers(late)).toEqual([]);
});
