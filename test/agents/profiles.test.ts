/** The file of agent settings: what its entries become, and what is wrong with it by line and column. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchAcp } from '../../agents/launch/acp.ts';
import { launchInTerminal } from '../../agents/launch/terminal.ts';
import { type AgentProfiles, openProfiles, putAgentEntry } from '../../agents/profiles/profiles.ts';
import { terminalProfile } from '../../agents/terminal/profiles/known.ts';
import { withSettings } from '../../agents/terminal/profiles/with-settings.ts';

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'longhaul-profiles-'));
  file = join(folder, 'agents.json');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function profiles(text: string | object): AgentProfiles {
  writeFileSync(file, typeof text === 'string' ? text : JSON.stringify(text));
  return openProfiles(file);
}
const refusal = (text: string): string => {
  try {
    profiles(text);
    return 'accepted';
  } catch (error) {
    return (error as Error).message.replaceAll(file, 'F');
  }
};

test('without the file there are the profiles of the catalogue', () => {
  expect(openProfiles(join(folder, 'none.json')).names()).toEqual(['claude', 'codex', 'demo', 'gemini', 'opencode']);
});

test('an entry extends an agent of the catalogue, and others extend it', () => {
  const of = profiles({
    agents: {
      fast: { extends: 'opencode', label: 'Fast', env: { MODE: 'fast' }, models: ['a/b', { id: 'c/d', label: 'D' }] },
      faster: { extends: 'fast', command: 'sh', args: ['x'], env_keys: ['OWN_*'] },
    },
  });
  expect(of.names()).toContain('faster');
  expect(of.known('fast')).toMatchObject({
    base: 'opencode',
    label: 'Fast',
    acp: { command: 'opencode', args: ['acp'], installHint: expect.any(String) as string },
    env: { OPENCODE_DISABLE_AUTOUPDATE: '1', MODE: 'fast' },
    models: [
      { id: 'a/b', label: 'a/b' },
      { id: 'c/d', label: 'D' },
    ],
    usageOf: 'turn',
  });
  const launch = launchAcp({ path: 'acp', agent: { name: 'faster' }, env: process.env }, of);
  expect(launch).toMatchObject({ name: 'faster', base: 'opencode', args: ['x'], env: { MODE: 'fast' } });
  expect(launch.envKeys).toContain('OWN_*');
  expect(launch.installHint).toBeUndefined();
});

test('an entry may change a known agent, or be one of its own, in a terminal too', () => {
  const of = profiles({
    agents: {
      codex: { extends: 'codex', env: { NO_BROWSER: '0' } },
      mine: { command: 'sh' },
      asks: { terminal: true, command: 'sh', args: ['-c', 'x'] },
      quiet: { extends: 'aider', args: ['--yes'] },
      spoken: { extends: 'codex', terminal: true, command: 'sh' },
    },
  });
  expect(of.known('codex')).toMatchObject({ acp: { command: 'codex-acp' }, env: { NO_BROWSER: '0' } });
  expect(of.known('mine')).toMatchObject({ acp: { command: 'sh', args: [] }, usageOf: 'session' });
  expect(of.known('asks')).toMatchObject({ acp: undefined, terminal: { profile: 'asks', command: 'sh', args: ['-c', 'x'] } }); // prettier-ignore
  expect(of.known('quiet')).toMatchObject({ terminal: { profile: 'aider', command: 'aider', args: ['--yes'] } });
  const { args, name } = launchInTerminal({ path: 'pty', agent: { name: 'spoken' }, env: process.env }, of);
  expect([name, JSON.parse(args.at(-1) ?? '')]).toMatchObject(['spoken', { agent: 'spoken', profile: 'codex' }]);
});

test.each([
  ['{\n  "agents": {\n    "a": { "command" "x" }\n  }\n}', /^F:3:22: expected JSON, found "\\"x\\" }" \(/],
  ['{ "agents": {', /^F:1:14: expected JSON, found the end of the file/],
  [
    '{\n "agents": {\n  "a": { "comand": "x" }\n }\n}',
    /^F:3:10: agents\.a\.comand: unknown field; expected one of: extends, label, command/,
  ],
  ['{ "agent": {} }', /^F:1:3: agent: unknown field; expected one of: agents$/],
  ['{ "agents": {\n  "a": { "args": "x" } } }', /^F:2:10: agents\.a\.args: expected a list of texts/],
  ['{ "agents": {\n  "a": { "args": ["x", 3] } } }', /^F:2:24: agents\.a\.args\.1: expected a text/],
  [
    '{ "agents": {\n  "a": { "env": {"DATABASE_URL": "x"} } } }',
    /^F:2:18: agents\.a\.env\.DATABASE_URL: expected a variable that agents get/,
  ],
  ['{ "agents": { "native": {} } }', /^F:1:15: agents\.native: expected another name/],
  ['{ "agents": { "a b": {} } }', /^F:1:15: agents\.a b: expected a name of up to 60/],
  ['{ "agents": { "a": {}, "a": {} } }', /^F:1:24: agents\.a: expected this key once/],
  [
    '{ "agents": {\n "a": { "extends": "b" } } }',
    /^F:2:9: agents\.a\.extends: expected a known agent \(claude, .*\), found "b"$/,
  ],
  ['{ "agents": {\n "a": { "extends": "a" } } }', /^F:2:9: agents\.a\.extends: expected a known agent/],
  [
    '{ "agents": { "a": { "extends": "b" },\n "b": { "extends": "c" },\n "c": { "extends": "a" } } }',
    /^F:3:9: agents\.c\.extends: expected an agent that does not extend this one, found a → b → c → a$/,
  ],
  ['[]', /^F:1:1: expected object/],
] as const)('%j is refused with line and column', (text, expected) => {
  expect(refusal(text)).toMatch(expected);
});

test('all errors are reported together', () => {
  expect(refusal('{ "agents": {\n "a": { "x": 1 },\n "b": { "label": 2 } } }').split('\n')).toHaveLength(2);
});

test('comments and trailing commas are allowed, and an entry that is added keeps them', () => {
  writeFileSync(file, '{\n  // mine\n  "agents": {\n    "a": { "command": "sh", },\n  },\n}\n');
  putAgentEntry(file, 'b', { command: 'sh', args: ['-x'] });
  expect(readFileSync(file, 'utf8')).toContain('// mine');
  expect(openProfiles(file).known('b')).toMatchObject({ acp: { command: 'sh', args: ['-x'] } });
  expect(() => putAgentEntry(file, 'c', { extends: 'nothing' })).toThrow(/expected a known agent/);
  expect(openProfiles(file).known('c')).toBeUndefined();
});

test('an edit counts at once; while the file is invalid, its last valid text counts', () => {
  const of = profiles({ agents: { a: { command: 'sh' } } });
  writeFileSync(file, '{ "agents": { "a": { "command": "cat" } } }');
  expect(of.known('a')?.acp?.command).toBe('cat');
  writeFileSync(file, '{ "agents": { "a": { "command": "never" }');
  expect(of.known('a')?.acp?.command).toBe('cat');
  rmSync(file);
  expect(of.known('a')).toBeUndefined();
});

const turn = { prompt: '-p', promptFile: () => '/p', model: 'm', mode: undefined, thinking: undefined, conversation: undefined }; // prettier-ignore
test.each([
  ['mine', ['--m={model}', '--mode={mode}', 'run'], ['--m=m', 'run', ' -p']],
  ['mine', ['--text={prompt}', 'x'], ['--text=-p', 'x']],
  ['codex', ['--skip'], ['--skip', 'exec', '--sandbox', 'workspace-write', '--model', 'm', '--', '-p']],
])('the arguments of %s with %j are %j', (profile, args, expected) => {
  const made = withSettings(terminalProfile(profile), { agent: 'x', file: '/x', args });
  const mode = profile === 'codex' ? 'workspace-write' : undefined;
  expect(made.arguments({ ...turn, mode })).toEqual(expected);
});
