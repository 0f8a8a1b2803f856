/** Agents that only the settings file describes run tasks: one that speaks ACP, and one in a terminal. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { offerOf } from '../../cli/agent-offers.ts';
import { builtScriptedAgent } from '../lab/built.ts';
import { type Lab, startLab } from '../lab/lab.ts';

const NOVEL = `"novel": {
  "command": ${JSON.stringify(process.execPath)},
  "args": [${JSON.stringify(builtScriptedAgent())}, "{}"],
  "label": "A novel agent",
  "env": { "NOVEL_MODE": "fast" }
}`;
const SHOUT = `"shout": {
  "terminal": true,
  "command": "/bin/sh",
  "args": ["-c", "printf '%s by %s' \\"$1\\" \\"$2\\" > said.txt; echo done", "sh", "{prompt}", "{model}"],
  "models": ["loud"]
}`;

let lab: Lab;
beforeAll(async () => {
  lab = await startLab();
  await writeFile(path.join(lab.home, 'agents.json'), `{ "agents": {\n${NOVEL},\n${SHOUT}\n} }\n`);
  await lab.startWorker();
});
afterAll(() => lab.close());

test('an agent that the catalogue does not contain runs a task after an entry of six lines', async () => {
  expect(NOVEL.split('\n')).toHaveLength(6);
  const steps = [{ echo: 'env' }, { write: 'novel.txt', content: 'new' }, { stop: 'end_turn' }];
  const task = await lab.submit({ agent: 'novel', input: JSON.stringify(steps) });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(task, 'novel.txt')).toBe('new');
  const said = (await lab.messages(task)).find(({ role }) => role === 'assistant')?.content;
  expect(said).toContain('"NOVEL_MODE":"fast"');
  expect(await offerOf({ sql: lab.sql, temporal: lab.client }, 'novel', null)).toMatchObject({ label: 'A novel agent', status: 'ready' }); // prettier-ignore
}, 60_000);

test('so does one in a terminal, with its models', async () => {
  expect(SHOUT.split('\n')).toHaveLength(6);
  const task = await lab.submit({ agent: 'shout', input: 'hello there', model: 'loud' });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  expect(await lab.inChange(task, 'said.txt')).toBe('hello there by loud');
  expect(await offerOf({ sql: lab.sql, temporal: lab.client }, 'shout', null)).toMatchObject({ transport: 'pty', models: [{ id: 'default' }, { id: 'loud' }] }); // prettier-ignore
}, 60_000);
