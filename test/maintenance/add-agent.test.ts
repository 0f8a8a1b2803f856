/** `agents add` with settings, and with an entry of the public registry of ACP agents, from a file and from a server. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openProfiles } from '../../agents/profiles/profiles.ts';
import { addAgent } from '../../maintenance/add-agent.ts';
import { listFoundAgents, surveyAgents } from '../../maintenance/agents.ts';
import { readRegistryEntry } from '../../maintenance/registry-entry.ts';
import { listAgents } from '../../store/available-agents.ts';
import { builtModule } from '../lab/built.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { LoopbackServer } from '../lab/loopback-server.ts';

const ENTRY = {
  id: 'novel-agent',
  name: 'Novel Agent',
  version: '1.2.3',
  description: 'Writes what it is asked to write',
  distribution: { npx: { package: '@novel/agent@1.2.3', args: ['--acp'], env: { NOVEL_MODE: 'fast' } } },
};

class RegistryServer extends LoopbackServer {
  protected async serve({ url }: IncomingMessage, response: ServerResponse): Promise<void> {
    response.statusCode = url === '/registry.json' ? 200 : 404;
    response.end(JSON.stringify({ version: '1.0.0', agents: [{ id: 'other', name: 'Other' }, ENTRY] }));
  }
}

let database: LabDatabase;
let server: RegistryServer;
let dir: string;
let settingsFile: string;
let paths: Parameters<typeof addAgent>[2];
beforeAll(async () => {
  database = await freshDatabase();
  server = await new RegistryServer().listen();
  dir = await mkdtemp(path.join(tmpdir(), 'longhaul-add-'));
  settingsFile = path.join(dir, 'agents.json');
  // Takes the place of npx: it records its arguments and is the demo agent.
  const npx = path.join(dir, 'npx');
  await writeFile(npx, `#!/bin/sh\necho "$NOVEL_MODE $*" > '${dir}/started'\nexec '${process.execPath}' '${builtModule('agents/demo/main')}'\n`); // prettier-ignore
  await chmod(npx, 0o755);
  const PATH = `${dir}:/usr/bin:/bin`;
  paths = { worker: PATH, shell: '', environment: { PATH }, settingsFile };
});
afterAll(async () => {
  await database.drop();
  await server.stop();
  expect(server.faults).toEqual([]);
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  await database.sql`TRUNCATE available_agents, unlisted_agents CASCADE`;
  await rm(settingsFile, { force: true });
});

const entryOf = (source: string, program?: string, name = 'novel-agent') =>
  readRegistryEntry({ source, name, path: program });

async function written(content: unknown): Promise<string> {
  const file = path.join(dir, 'agent.json');
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

test.each(['file', 'server'])(
  'an entry from a %s: its program is started once, its settings are written',
  async (from) => {
    const source = from === 'file' ? await written(ENTRY) : `${server.origin}/registry.json`;
    const added = await addAgent(database.sql, { name: 'novel-agent', terminal: false, entry: await entryOf(source) }, paths); // prettier-ignore
    expect(added).toMatchObject({ talks: 'acp', program: path.join(dir, 'npx'), install_path: null });
    expect(await readFile(path.join(dir, 'started'), 'utf8')).toBe('fast --yes @novel/agent@1.2.3 --acp\n');
    expect(await listAgents(database.sql)).toMatchObject([{ name: 'novel-agent', supports_acp: true, listed_by: 'user' }]); // prettier-ignore
    expect(JSON.parse(await readFile(settingsFile, 'utf8'))).toEqual({
      agents: {
        'novel-agent': {
          label: 'Novel Agent',
          command: 'npx',
          args: ['--yes', '@novel/agent@1.2.3', '--acp'],
          env: { NOVEL_MODE: 'fast' },
        },
      },
    });
  },
);

test('arguments and variables of a program are written, in a terminal too', async () => {
  const entry = { args: ['-c', '{prompt}'], env: { A: 'b' } };
  const toAdd = { name: 'mine', path: '/bin/sh', terminal: true, entry };
  expect(await addAgent(database.sql, toAdd, paths)).toMatchObject({ talks: 'terminal', program: '/bin/sh' });
  expect(openProfiles(settingsFile).known('mine')).toMatchObject({ terminal: { command: '/bin/sh', args: ['-c', '{prompt}'] }, env: { A: 'b' } }); // prettier-ignore
  expect((await surveyAgents(database.sql, paths)).find(({ name }) => name === 'mine')).toMatchObject({ program: '/bin/sh', listed: true }); // prettier-ignore
});

test('a refusal changes nothing', async () => {
  const toAdd = { name: 'mine', path: '/bin/true', terminal: false, entry: { args: ['x'] } };
  await expect(addAgent(database.sql, toAdd, paths)).rejects.toThrow(/did not answer as a program that speaks/);
  expect(await listAgents(database.sql)).toEqual([]);
  await expect(readFile(settingsFile)).rejects.toThrow('ENOENT');
});

test('agents of the settings file are listed while their program is found, and removed with their entry', async () => {
  await writeFile(settingsFile, '{ "agents": { "a": { "command": "sh" }, "b": { "command": "nothing-there" }, "c": { "command": "sh", "terminal": true } } }'); // prettier-ignore
  const found = () => listFoundAgents(database.sql, '/usr/bin:/bin', openProfiles(settingsFile));
  expect((await found()).listed).toEqual(expect.arrayContaining(['a', 'c']));
  expect(await listAgents(database.sql)).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'a', supports_acp: true }), expect.objectContaining({ name: 'c', supports_acp: false })])); // prettier-ignore
  await writeFile(settingsFile, '{}');
  expect((await found()).unlisted).toEqual(expect.arrayContaining(['a', 'c']));
});

test.each<[string, unknown, RegExp]>([
  ['no JSON', '{', /agent\.json: expected JSON, found:/],
  ['fields that are wrong', { ...ENTRY, id: 'A B', name: undefined }, /agent\.json: id: expected lowercase letters.*\n.*agent\.json: name: expected string/], // prettier-ignore
  ['a package that is no text', { ...ENTRY, distribution: { npx: { package: 3 } } }, /distribution\.npx\.package: expected string/], // prettier-ignore
  ['no distribution for this machine', { ...ENTRY, distribution: { binary: { 'windows-x86_64': { cmd: 'a.exe' } } } }, /distribution: expected npx, uvx or a binary for .*, found windows-x86_64/], // prettier-ignore
  ['no such agent', { agents: [{ id: 'other' }] }, /expected an agent with the id "novel-agent", found other/],
])('an entry with %s is refused', async (_what, content, expected) => {
  const file = await written(content);
  await expect(entryOf(file)).rejects.toThrow(expected);
});

test('a source that does not answer with an entry is refused', async () => {
  await expect(entryOf(`${server.origin}/nothing`)).rejects.toThrow(/expected the status 200, found 404/);
  await expect(entryOf(path.join(dir, 'none.json'))).rejects.toThrow(/expected a file that can be read/);
});

test('a binary needs the path of its unpacked program, and has the arguments of its platform', async () => {
  const platform = `${process.platform}-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`;
  const file = await written({ ...ENTRY, distribution: { binary: { [platform]: { archive: 'https://x/y.tgz', cmd: './novel', args: ['serve'] } } } }); // prettier-ignore
  await expect(entryOf(file)).rejects.toThrow(/unpack it and name its file with --path/);
  expect(await entryOf(file, '/opt/novel')).toEqual({ label: 'Novel Agent', command: '/opt/novel', args: ['serve'] });
});
