/** Help, wrong usage and completion: what a person types without any service. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CommanderError } from 'commander';
import { afterAll, beforeAll, expect, inject, test, vi } from 'vitest';
import { scriptFor } from '../../cli/completion.ts';
import { printError } from '../../cli/exit.ts';
import { makeProgram, makeWholeProgram, parseWords } from '../../cli/program.ts';
import { builtCommand } from '../lab/built.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { longhaul } from '../lab/longhaul.ts';

const run = promisify(execFile);

let home: string;
let database: LabDatabase;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'longhaul-usage-'));
  database = await freshDatabase();
});
afterAll(async () => {
  await database.drop();
  await rm(home, { recursive: true, force: true });
});

test.each([
  [['fly'], "unknown command 'fly'. See `longhaul --help`."],
  [['lss'], "unknown command 'lss' (Did you mean ls?). See `longhaul --help`."],
  [['ls', '--limt', '3'], "unknown option '--limt' (Did you mean --limit?). See `longhaul ls --help`."],
  [['ls', '--limit', 'x'], '--limit: expected a whole number, found "x". See `longhaul ls --help`.'],
  [['ls', '--limit', '0'], '--limit: expected a number from 1, found 0. See `longhaul ls --help`.'],
  [
    ['ls', '--change', 'foo'],
    '--change: expected one of pending, applied, undone, rejected, found "foo". See `longhaul ls --help`.',
  ],
  [['run', '--policy', 'x', 'y'], '--policy: expected one of allow, deny, ask, found "x". See `longhaul run --help`.'],
  [
    ['run', '-x'],
    "unknown option '-x'. Put -- before a text that begins with a dash: `longhaul run -- '-x …'`. See `longhaul run --help`.",
  ],
  [['run', '--model', '', 'x'], '--model: expected a value, found an empty text. See `longhaul run --help`.'],
  [
    ['submit', '--project', ' ', 'x'],
    '--project: expected a value, found an empty text. See `longhaul submit --help`.',
  ],
  [
    ['submit', '--priority', '9', 'x'],
    '--priority: expected a whole number from 1 (first) to 5, found "9". See `longhaul submit --help`.',
  ],
  [['show'], "missing required argument 'task'. See `longhaul show --help`."],
  [['agents', 'add'], "missing required argument 'name'. See `longhaul agents add --help`."],
  [['agents', 'remove', '--fast'], "unknown option '--fast'. See `longhaul agents remove --help`."],
  [
    ['agents', 'ad', 'x'],
    "unknown command 'ad': expected add, remove, show, refresh, enable, disable or nothing. See `longhaul agents --help`.",
  ],
  [['completion', 'tcsh'], 'shell: expected one of bash, zsh, fish, found "tcsh". See `longhaul completion --help`.'],
  [['gc', '--refs', 'old'], '--refs: expected a number of days, found "old". See `longhaul gc --help`.'],
])('longhaul %j is wrong usage: one line with what to do', async (words, expected) => {
  const said: string[] = [];
  const program = await makeProgram(words, (error) => said.push(error.message));
  await expect(parseWords(program, words)).rejects.toBeInstanceOf(CommanderError);
  expect(said).toEqual([expected]);
});

test('as a process, wrong usage exits with code 2, with --json as a problem document', async () => {
  const { code, stdout, stderr } = await longhaul(home, ['ls', '--limt', '--json']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(JSON.parse(stderr)).toMatchObject({ error_code: 'invalid_input', title: 'invalid input' });
});

test('a refusal of the operating system is one line, not an internal error', () => {
  const said: string[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
  const full = Object.assign(new Error("ENOSPC: no space left on device, mkdir '/x'"), { code: 'ENOSPC' });
  printError(full);
  printError(full, { json: true });
  write.mockRestore();
  expect(said[0]).toBe(
    "longhaul: The disk is full (ENOSPC: no space left on device, mkdir '/x'): free some space and try again.\n",
  );
  expect(JSON.parse(said[1] ?? '')).toMatchObject({ error_code: 'disk_full' });
});

test('every command has a help with an example that begins with longhaul', async () => {
  const commands = (await makeWholeProgram()).commands.flatMap((command) => [command, ...command.commands]);
  expect(commands.length).toBeGreaterThan(15);
  for (const command of commands) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    expect(help, command.name()).toMatch(/\nExamples?:\n {2}.*longhaul/);
    expect(command.description(), command.name()).not.toBe('');
  }
});

/** What a real bash offers for the words so far; the last may be empty. */
async function completions(...words: string[]): Promise<string[]> {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const ask = `source ${home}/completion.bash; COMP_WORDS=(longhaul ${quoted}); COMP_CWORD=${words.length}; _longhaul; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '-c', ask], {
    cwd: home,
    env: {
      PATH: `${home}:${process.env['PATH']}`,
      LONGHAUL_HOME: join(home, 'home'),
      DATABASE_URL: database.url,
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      TEMPORAL_CONFIG_FILE: '/dev/null',
    },
  });
  return stdout.split('\n').filter(Boolean);
}

test('bash completes commands, options, values, agents and tasks', async () => {
  await writeFile(join(home, 'completion.bash'), scriptFor('bash', await makeWholeProgram()));
  await symlink(builtCommand(), join(home, 'longhaul'));
  await database.sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true), ('dachshund', true)`;
  const [task] = await database.sql<{ id: string }[]>`INSERT INTO tasks (input) VALUES ('x') RETURNING id`;
  const [ended] = await database.sql<{ id: string }[]>`
    INSERT INTO tasks (input, state, created_at) VALUES ('y', 'completed', now() - interval '1 day') RETURNING id`;
  const [session] = await database.sql<{ id: string }[]>`INSERT INTO sessions (name) VALUES ('s') RETURNING id`;
  expect(await completions('do')).toEqual(['down', 'doctor']);
  expect(await completions('agents', '')).toEqual(['add', 'remove', 'show', 'refresh', 'enable', 'disable']);
  expect(await completions('ls', '--s')).toEqual(['--sessions', '--state', '--session', '--search']);
  expect(await completions('ls', '--state', 'c')).toEqual(['completed', 'cancelled', 'collecting', 'cleaning']);
  expect(await completions('run', '--agent', 'd')).toEqual(['dachshund', 'demo']);
  expect(await completions('watch', '')).toEqual([task?.id.slice(0, 8), ended?.id.slice(0, 8)]);
  expect(await completions('cancel', '')).toEqual([task?.id.slice(0, 8)]);
  for (const command of ['rm', 'retry']) expect(await completions(command, '')).toEqual([ended?.id.slice(0, 8)]);
  expect(await completions('run', '--session', '')).toEqual([session?.id.slice(0, 8)]);
  expect(await completions('logs', 's')).toEqual(['supervisor']);
  expect(await completions('completion', 'b')).toEqual(['bash']);
});

test('the scripts for zsh and fish name every command', async () => {
  const program = await makeWholeProgram();
  expect(scriptFor('zsh', program)).toMatch(/^autoload .*bashcompinit/);
  const fish = scriptFor('fish', program);
  for (const command of program.commands) expect(fish).toContain(`-a ${command.name()} -d`);
});

test('gc without a home removes nothing and creates none', async () => {
  const nowhere = join(home, 'nowhere');
  const { stdout } = await longhaul(nowhere, ['gc'], { LONGHAUL_CACHE: join(home, 'no-cache') });
  expect(stdout).toContain('nothing to remove');
  expect(await readdir(home)).not.toContain('nowhere');
});

test('colours are printed to terminals only, never in a pipe, even if forced', async () => {
  const { code, stdout } = await longhaul(home, ['doctor'], { FORCE_COLOR: '3' });
  expect(code).toBe(0);
  expect(stdout).toContain('✓ git');
  // oxlint-disable-next-line no-control-regex -- that is what must not be there
  expect(stdout).not.toMatch(/\u001b/);
});
