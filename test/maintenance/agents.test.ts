import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { addAgent, listFoundAgents, removeAgent, surveyAgents } from '../../maintenance/agents.ts';
import type { AgentRow } from '../../store/available-agents.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';

let database: LabDatabase;
let dir: string;
beforeAll(async () => {
  database = await freshDatabase();
  dir = await mkdtemp(path.join(tmpdir(), 'longhaul-agents-'));
});
afterAll(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  await database.sql`TRUNCATE available_agents, unlisted_agents, tasks CASCADE`;
});

/** A folder for PATH with these programs. */
async function programs(...names: string[]): Promise<string> {
  const folder = await mkdtemp(path.join(dir, 'bin-'));
  for (const name of names) {
    await writeFile(path.join(folder, name), '#!/bin/sh\n');
    await chmod(path.join(folder, name), 0o755);
  }
  return folder;
}

const rows = (): Promise<AgentRow[]> =>
  database.sql<AgentRow[]>`SELECT name, supports_acp, install_path, listed_by FROM available_agents ORDER BY name`;

test('a worker lists the agents that it finds, removes its own row when the program is uninstalled, and no other row', async () => {
  const theirs = { name: 'gemini', supports_acp: false, install_path: '/opt/gemini', listed_by: null };
  await database.sql`INSERT INTO available_agents ${database.sql(theirs)}`;
  const found = await listFoundAgents(database.sql, await programs('opencode', 'gemini'));
  expect(found).toEqual({ listed: ['demo', 'opencode'], unlisted: [] });
  const demo = { name: 'demo', supports_acp: true, install_path: null, listed_by: 'longhaul' };
  expect(await rows()).toEqual([demo, theirs, { ...demo, name: 'opencode' }]);

  expect(await listFoundAgents(database.sql, await programs())).toEqual({ listed: [], unlisted: ['opencode'] });
  expect(await rows()).toEqual([demo, theirs]);
});

test("a worker's row that got a path by hand, or that open tasks name, is not removed", async () => {
  await listFoundAgents(database.sql, await programs('opencode', 'gemini'));
  await database.sql`UPDATE available_agents SET install_path = '/opt/opencode' WHERE name = 'opencode'`;
  const [task] = await database.sql`INSERT INTO tasks (input, agent) VALUES ('x', 'gemini') RETURNING id`;
  expect(await listFoundAgents(database.sql, await programs())).toEqual({ listed: [], unlisted: [] });
  await database.sql`UPDATE tasks SET state = 'failed' WHERE id = ${String(task?.['id'])}`;
  expect(await listFoundAgents(database.sql, await programs())).toEqual({ listed: [], unlisted: ['gemini'] });
  expect((await rows()).find(({ name }) => name === 'opencode')?.install_path).toBe('/opt/opencode');
});

test('an agent that a user removed from the list stays removed for every worker, until it is added again', async () => {
  const worker = await programs('opencode');
  const paths = { worker, shell: worker };
  await listFoundAgents(database.sql, worker);
  await removeAgent(database.sql, 'opencode');
  expect((await listFoundAgents(database.sql, worker)).listed).toEqual([]);
  expect((await surveyAgents(database.sql, paths)).find(({ name }) => name === 'opencode')).toMatchObject({
    listed: false,
    removed: true,
    program: path.join(worker, 'opencode'),
  });
  expect(await addAgent(database.sql, { name: 'opencode', terminal: false }, paths)).toMatchObject({
    install_path: null,
  });
  expect((await rows()).find(({ name }) => name === 'opencode')).toMatchObject({ listed_by: 'user' });
});

test('an agent that open tasks name is not removed, and the tasks are named', async () => {
  await addAgent(database.sql, { name: 'mine', path: '/bin/sh', terminal: true }, { worker: '', shell: '' });
  const tasks = await database.sql<{ id: string }[]>`
    INSERT INTO tasks (input, agent, created_at) SELECT 'x', 'mine', now() + n * interval '1 s' FROM generate_series(1, 7) n RETURNING id`;
  await expect(removeAgent(database.sql, 'mine')).rejects.toThrow(
    `mine has open tasks: ${tasks
      .slice(0, 5)
      .map(({ id }) => id.slice(0, 8))
      .join(', ')} and 2 more.`,
  );
  expect(await rows()).toMatchObject([{ name: 'mine', supports_acp: false, install_path: '/bin/sh' }]);
});

test('a program on the shell’s PATH alone is reported as installed, and added with its absolute path', async () => {
  const [worker, shell] = [await programs(), await programs('opencode')];
  const paths = { worker, shell };
  const here = path.join(shell, 'opencode');
  expect((await surveyAgents(database.sql, paths)).find(({ name }) => name === 'opencode')).toMatchObject({
    program: null,
    program_here: here,
    listed: false,
  });
  expect(await addAgent(database.sql, { name: 'opencode', terminal: false }, paths)).toEqual({
    name: 'opencode',
    talks: 'acp',
    program: here,
    install_path: here,
  });
});

test.each([
  ['a name that no command line accepts', { name: 'a b' }, /letters, digits/],
  [
    'a program that does not exist',
    { name: 'x', path: '/nowhere/x' },
    /expected a program at \/nowhere\/x, found none/,
  ],
  ['an agent of the catalogue that is not installed', { name: 'opencode' }, /npm install/],
  ['a row of another program', { name: 'theirs', path: '/bin/sh' }, /listed already, by another program/],
])('%s is refused without a change', async (_title, wish, said) => {
  await database.sql`INSERT INTO available_agents (name, supports_acp) VALUES ('theirs', true)`;
  await database.sql`INSERT INTO unlisted_agents (name) VALUES ('theirs')`;
  await expect(addAgent(database.sql, { terminal: false, ...wish }, { worker: '', shell: '' })).rejects.toThrow(said);
  expect(await rows()).toEqual([{ name: 'theirs', supports_acp: true, install_path: null, listed_by: null }]);
  expect(await database.sql`SELECT name FROM unlisted_agents`).toEqual([{ name: 'theirs' }]);
});
