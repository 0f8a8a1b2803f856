import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { decide } from '../../agents/permission-policy.ts';
import { demoProfile, failure, makeLab } from './lab.ts';

test('the demo agent writes a file, says so with a tool call, and admits that it has no model', async () => {
  const lab = makeLab();
  const agent = await lab.open(demoProfile());
  const session = await agent.newSession({});
  const end = await session.prompt('write hello.txt with "Hello. World". Then say done.');
  expect(end).toMatchObject({ kind: 'completed', usage: { input_tokens: 8 } });
  expect(readFileSync(join(lab.cwd, 'hello.txt'), 'utf8')).toBe('Hello. World\n');
  expect(lab.text()).toMatch(/no model.*\ndone\n$/);
  const calls = lab.events.flatMap((event) => (event.kind === 'tool_call' ? [event.call] : []));
  expect(calls.map(({ status }) => status)).toEqual(['pending', 'in_progress', 'completed']);
  expect(calls.at(-1)).toMatchObject({
    title: 'Write hello.txt',
    kind: 'edit',
    content: [{ type: 'diff', path: join(lab.cwd, 'hello.txt'), new_text: 'Hello. World\n' }],
  });
});
