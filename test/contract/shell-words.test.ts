/** A rule for a command allows that command and nothing beside it. Shells of this machine decide what a text runs. */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandPattern, matchesWords, exactPattern, plainCommands } from '../../contract/shell-words.ts';

const allows = (pattern: string, command: string): boolean => {
  const compiled = commandPattern(pattern);
  return plainCommands(command)?.every((words) => compiled && matchesWords(compiled, words)) ?? false;
};

test.each([
  'npm test; rm -rf x', 'npm test && rm -rf x', 'npm test || rm -rf x', 'npm test | sh', 'npm test & rm -rf x', 'npm test\nrm -rf x',
  'npm test $(rm -rf x)', 'npm test `rm -rf x`', 'npm test > x', 'npm test < x', 'npm test <(rm x)', 'npm test 2>&1', '$(npm test)',
  'npm test # x', 'PATH=/tmp npm test', 'npm() { rm x; }; npm test', '(npm test)', '{ npm test; }', '! npm test', 'npm test\\\nx',
  'npm test "$(rm x)"', 'npm test "`rm x`"', "npm test $'\\n'", 'npm\u00a0test', 'npm test\r\nrm x', 'npm test\0', 'NPM test', 'npm  tes', '',
  'n*m test', '~/npm test', 'npm test "', "npm test '", 'if npm test; then rm x; fi', 'eval npm test', 'npm test <<EOF\nx\nEOF', 'npm test -- x',
])('"npm test" does not allow %j', (command) => {
  expect(allows('npm test', command)).toBe(false);
}); // prettier-ignore

test.each([
  ['npm test', 'npm test'], ['npm test', '  npm   test '], ['npm test', '"npm" \'test\''], ['npm test', 'npm test && npm test; npm test'],
  ['npm run *', 'npm run build -- --fast'], ['npm run *', 'npm run'], ['git log --*', 'git log --oneline'], ["echo 'a*b'", "echo 'a*b'"],
  ['git commit -m *', 'git commit -m "fix: one thing; and another!"'],
])('%j allows %j', (pattern, command) => {
  expect(allows(pattern, command)).toBe(true);
}); // prettier-ignore

test.each([
  ['npm run *', 'npm runs'],
  ["echo 'a*b'", 'echo axb'],
  ['git log --*', 'git log x'],
  ['npm test', 'npm test x'],
])('%j does not allow %j', (pattern, command) => expect(allows(pattern, command)).toBe(false));

test('the pattern of words matches these words, and no others', () => {
  const word = fc.string({ minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), fc.array(word, { minLength: 1, maxLength: 4 }), (words, other) => {
      const pattern = commandPattern(exactPattern(words) ?? '');
      if (!pattern) return;
      expect(matchesWords(pattern, words)).toBe(true);
      expect(matchesWords(pattern, other)).toBe(JSON.stringify(words) === JSON.stringify(other));
    }),
  ); // prettier-ignore
});

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'longhaul-words-'));
  await mkdir(join(dir, 'bin'));
  for (const name of ['npm', 'rm', 'sh', 'evil']) {
    await writeFile(join(dir, 'bin', name), `#!/bin/sh\necho "${name} $*" >> "$LOG"\n`, { mode: 0o755 });
  }
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** What the shell runs, and the files that it makes. */
async function runIn(shell: string, command: string): Promise<{ ran: string[]; files: string[] }> {
  const log = join(dir, 'log');
  const cwd = join(dir, 'cwd');
  await writeFile(log, '');
  await rm(cwd, { recursive: true, force: true });
  await mkdir(cwd);
  spawnSync(shell, ['-c', command], { cwd, env: { PATH: join(dir, 'bin'), LOG: log, HOME: cwd }, timeout: 20_000 });
  return { ran: (await readFile(log, 'utf8')).split('\n').filter(Boolean), files: await readdir(cwd) };
}

const PIECES = ['npm test', 'npm', ' test', ' ', 'rm', 'evil', ';', '&&', '||', '|', '&', '\n', '$(', ')', '`', '>', '<', '"', "'", '\\', '#', '{', '}', '!', 'x=', '*', '~', '\t', 'sh -c ', '()', 'npm test;', ' && npm test']; // prettier-ignore

test('for random texts, a command that "npm test" allows runs nothing else in any shell', async () => {
  const text = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 7 }).map((pieces) => pieces.join(''));
  const allowed = new Set<string>();
  fc.assert(fc.property(text, (command) => void (allows('npm test', command) && allowed.add(command))), { numRuns: 60_000 }); // prettier-ignore
  expect(allowed.size).toBeGreaterThan(20);
  for (const command of [...allowed].slice(0, 60)) {
    for (const shell of ['/bin/sh', '/bin/bash']) {
      const { ran, files } = await runIn(shell, command);
      expect([command, ran.filter((line) => line !== 'npm test'), files]).toEqual([command, [], []]);
    }
  }
});

test('the check sees a command that runs beside it', async () => {
  expect(await runIn('/bin/bash', 'npm test; evil x > y')).toEqual({ ran: ['npm test', 'evil x'], files: ['y'] });
  expect(await runIn('/bin/bash', 'npm test && evil x')).toEqual({ ran: ['npm test', 'evil x'], files: [] });
});
