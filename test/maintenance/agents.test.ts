import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { fileURLToPath } from 'node:url';
import { addAgent } from '../../maintenance/add-agent.ts';
import { listFoundAgents, removeAgent, surveyAgents } from '../../maintenance/agents.ts';
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

const PATHS = { worker: '/usr/bin:/bin', shell: '', environment: { PATH: '/usr/bin:/bin' } };

const script =
  (text: string) =>
  async (file: string): Promise<void> => {
    await writeFile(file, text);
    await chmod(file, 0o755);
  };

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
  const paths = { worker, shell: worker, environment: {} };
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
  await addAgent(
    database.sql,
    { name: 'mine', path: '/bin/sh', terminal: true },
    { worker: '', shell: '', environment: {} },
  );
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
  const paths = { worker, shell, environment: {} };
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
  ['the name of the native agent', { name: 'native' }, /^native is the name of Longhaul's own agent/],
  [
    'a program that does not exist',
    { name: 'x', path: '/nowhere/x' },
    /expected a program at \/nowhere\/x, found none/,
  ],
  ['a path below a file', { name: 'x', path: '/bin/sh/x' }, /expected a program at \/bin\/sh\/x, found none/],
  ['an agent of the catalogue that is not installed', { name: 'opencode' }, /npm install/],
  [
    'a row of another program',
    { name: 'theirs', path: '/bin/sh', terminal: true },
    /listed already, by another program/,
  ],
])('%s is refused without a change', async (_title, wish, said) => {
  await database.sql`INSERT INTO available_agents (name, supports_acp) VALUES ('theirs', true)`;
  await database.sql`INSERT INTO unlisted_agents (name) VALUES ('theirs')`;
  await expect(
    addAgent(database.sql, { terminal: false, ...wish }, { worker: '', shell: '', environment: {} }),
  ).rejects.toThrow(said);
  expect(await rows()).toEqual([{ name: 'theirs', supports_acp: true, install_path: null, listed_by: null }]);
  expect(await database.sql`SELECT name FROM unlisted_agents`).toEqual([{ name: 'theirs' }]);
});

test.each([
  ['a folder', (file: string) => mkdir(file), /found a folder\. Give the path of a program/],
  [
    'not executable',
    async (file: string) => writeFile(file, '#!/bin/sh\n'),
    /found a file that is not executable \(`chmod \+x /,
  ],
  [
    'a script without an interpreter',
    script('#!/opt/nowhere/python3\n'),
    /interpreter "\/opt\/nowhere\/python3" is not a program/,
  ],
  [
    'a script of env without one',
    script('#!/usr/bin/env -S no-such-node --x\n'),
    /interpreter "no-such-node" is not on PATH/,
  ],
  ['text', script('echo hello\n'), /found a text file without a first line such as #!\/bin\/sh/],
])('%s is refused as a program, with what was found', async (_title, make, said) => {
  const file = path.join(await mkdtemp(path.join(dir, 'files-')), 'mine');
  await make(file);
  const wish = { name: 'mine', path: file, terminal: true };
  await expect(addAgent(database.sql, wish, { worker: '/usr/bin', shell: '', environment: {} })).rejects.toMatchObject({
    code: 'agent_not_installed',
    message: expect.stringMatching(said) as string,
  });
  expect(await rows()).toEqual([]);
});

test.each([
  ['exits', '#!/bin/sh\necho "usage: mine PROMPT" >&2\nexit 2\n', /exited with code 2 .*usage: mine PROMPT/],
  ['prints other lines', '#!/bin/sh\necho hello; exec cat\n', /could not start a session|expected ACP protocol/],
])(
  'a program that %s in place of an answer is refused in one sentence that names --terminal',
  async (_how, text, said) => {
    const file = path.join(await mkdtemp(path.join(dir, 'files-')), 'mine');
    await script(text)(file);
    const error = addAgent(database.sql, { name: 'mine', path: file, terminal: false }, PATHS);
    await expect(error).rejects.toMatchObject({
      code: 'agent_protocol_error',
      message: expect.stringMatching(/did not answer as a program that speaks the Agent Client Protocol\. .* add it with --terminal\./) as string, // prettier-ignore
    });
    await expect(error).rejects.toThrow(said);
    expect(await rows()).toEqual([]);
    expect(await addAgent(database.sql, { name: 'mine', path: file, terminal: true }, PATHS)).toMatchObject({ talks: 'terminal' }); // prettier-ignore
  },
);

test('a program that answers initialize is added', async () => {
  const file = path.join(await mkdtemp(path.join(dir, 'files-')), 'mine');
  const demo = fileURLToPath(new URL('../../agents/demo/main.ts', import.meta.url));
  const loader = fileURLToPath(import.meta.resolve('tsx'));
  await script(`#!/bin/sh\nexec ${process.execPath} --import ${loader} ${demo}\n`)(file);
  expect(await addAgent(database.sql, { name: 'mine', path: file, terminal: false }, PATHS)).toMatchObject({ talks: 'acp' }); // prettier-ignore
});

test.each([
  [{}, null, /^Set DEFAULT_MODEL to provider\/model/],
  [{ DEFAULT_MODEL: 'openai/gpt-5' }, null, /^openai\/gpt-5: set OPENAI_API_KEY$/],
  [{ DEFAULT_MODEL: 'gpt-5' }, null, /expected provider\/model, such as local\/qwen3, found "gpt-5"/],
  [{ DEFAULT_MODEL: 'openai/gpt-5', OPENAI_API_KEY: 'x' }, 'openai/gpt-5', undefined],
  [{ LONGHAUL_LOCAL_MODEL_URL: 'http://127.0.0.1:8080/v1' }, 'the first model of the local server', undefined],
])('the native agent is in the survey, with %o', async (environment, model, hint) => {
  const agents = await surveyAgents(database.sql, { worker: '', shell: '', environment });
  expect(agents.at(-1)).toMatchObject({
    name: 'native',
    talks: 'native',
    listed: false,
    model,
    install_hint: hint === undefined ? null : (expect.stringMatching(hint) as string),
  });
});
