import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { RuleId } from '../../contract/ids.ts';
import { decisionOf, ruleIn, ruleText, type PermissionRule, type RuleEffect, type RuleMatch, type RuleSubject } from '../../contract/permission-rules.ts'; // prettier-ignore
import { plainCommands } from '../../contract/shell-words.ts';
import { exactGlob, matchesGlob } from '../../contract/wildcards.ts';

const rule = (effect: RuleEffect, match: Partial<RuleMatch>): PermissionRule => ({
  id: randomUUID() as RuleId,
  scope: 'session',
  effect,
  task_id: null,
  session_id: null,
  project_id: null,
  permission_id: null,
  tool_kind: null,
  path_glob: null,
  command_pattern: null,
  ...match,
});

const command = (text: string): RuleSubject => ({
  tool_kind: 'execute',
  text,
  parts: plainCommands(text)?.map((words) => ({ type: 'command', text: words.join(' '), words })) ?? [{ type: 'command', text }], // prettier-ignore
  besides: [],
});
const edit = (...paths: { named: string; inside?: string }[]): RuleSubject => ({
  tool_kind: 'edit',
  parts: paths.map((path) => ({ type: 'path', ...path })),
  besides: [],
});
const effect = (rules: PermissionRule[], subject: RuleSubject, policy: RuleEffect = 'ask'): RuleEffect =>
  decisionOf(rules, subject, policy).effect;

test.each([
  ['allow command npm run *', { effect: 'allow', command_pattern: 'npm run *' }],
  ['deny path secrets/**', { effect: 'deny', path_glob: 'secrets/**' }],
  ['ask tool edit', { effect: 'ask', tool_kind: 'edit' }],
  ['deny tool edit, path docs/a b.md', { effect: 'deny', tool_kind: 'edit', path_glob: 'docs/a b.md' }],
  ['allow tool execute, command git commit -m "a, b"', { effect: 'allow', tool_kind: 'execute', command_pattern: 'git commit -m "a, b"' }], // prettier-ignore
])('the text of a rule is parsed to the same rule: %s', (text, words) => {
  const parsed = ruleIn(text);
  expect(parsed).toEqual({ tool_kind: null, path_glob: null, command_pattern: null, ...words });
  expect(parsed && ruleText(parsed)).toBe(text);
});

test.each(['', 'allow', 'allow everything', 'maybe command x', 'allow command', 'allow edit'])(
  '%j is no rule',
  (text) => {
    expect(ruleIn(text)).toBeUndefined();
  },
);

test('the first rule that matches decides; without one the policy', () => {
  const rules = [rule('deny', { command_pattern: 'npm publish' }), rule('allow', { command_pattern: 'npm *' })];
  expect(effect(rules, command('npm publish'))).toBe('deny');
  expect(effect(rules, command('npm test'))).toBe('allow');
  expect(effect(rules.toReversed(), command('npm publish'))).toBe('allow');
  expect(effect(rules, command('make'))).toBe('ask');
  expect(effect(rules, command('make'), 'deny')).toBe('deny');
});

test('each of several commands is decided, and the strictest decision counts', () => {
  const rules = [rule('allow', { command_pattern: 'npm test' }), rule('deny', { command_pattern: 'git push *' })];
  expect(effect(rules, command('npm test && npm test'))).toBe('allow');
  expect(effect(rules, command('npm test && rm -rf x'))).toBe('ask');
  expect(effect(rules, command('npm test && rm -rf x'), 'allow')).toBe('allow');
  expect(effect(rules, command('npm test; git push origin'), 'allow')).toBe('deny');
});

test.each([
  'x=$(git push a)',
  'sudo git push',
  'bash -c "git push a"',
  'ls | xargs git push',
  "g''it push a",
  'A=1 git push',
])('what denies "git push *" denies %j', (text) =>
  expect(effect([rule('deny', { command_pattern: 'git push *' })], command(text), 'allow')).toBe('deny'),
);

test('a text with operators is allowed by an equal text only', () => {
  const rules = [rule('allow', { command_pattern: 'npm test | tail -5' })];
  expect(effect(rules, command('npm test | tail -5'))).toBe('allow');
  expect(effect(rules, command('npm test | tail -5 '))).toBe('ask');
  expect(effect(rules, command('npm test | tail -50'))).toBe('ask');
});

test('a path is compared by its real path; outside the worktree no path is allowed', () => {
  const rules = [rule('deny', { path_glob: '**/secret.txt' }), rule('allow', { path_glob: 'src/**' })];
  expect(effect(rules, edit({ named: '/w/src/a/b.ts', inside: 'src/a/b.ts' }))).toBe('allow');
  expect(effect(rules, edit({ named: 'src/link/x' }))).toBe('ask');
  expect(effect(rules, edit({ named: 'src/link/secret.txt' }))).toBe('deny');
  expect(effect(rules, edit({ named: 'a', inside: 'src/a' }, { named: 'b', inside: 'lib/b' }))).toBe('ask');
  expect(effect(rules, edit({ named: 'a', inside: 'src/a' }, { named: 'b', inside: 'src/secret.txt' }))).toBe('deny');
  expect(effect(rules, { tool_kind: 'edit', parts: [{ type: 'other' }], besides: [] })).toBe('ask');
});

test('a path allows no command, whatever paths the call names; it can deny one', () => {
  const besides = [{ type: 'path', named: 'src/a', inside: 'src/a' }] as const;
  const subject = { ...command('rm x'), besides };
  expect(effect([rule('allow', { path_glob: '**' })], subject)).toBe('ask');
  expect(effect([rule('deny', { path_glob: 'src/**' })], subject, 'allow')).toBe('deny');
});

test('a kind limits a rule', () => {
  expect(effect([rule('allow', { tool_kind: 'edit' })], edit({ named: 'a', inside: 'a' }))).toBe('allow');
  expect(effect([rule('allow', { tool_kind: 'read' })], edit({ named: 'a', inside: 'a' }))).toBe('ask');
});

test.each([
  ['**', 'a/b', true], ['*', 'a', true], ['*', 'a/b', false], ['**/*.ts', 'a.ts', true], ['**/*.ts', 'a/b/c.ts', true], ['a/', 'a/b/c', true],
  ['a/**/b', 'a/b', true], ['a/**/b', 'a/x/y/b', true], ['a/**/b', 'a/x/c', false], ['a?c', 'abc', true], [String.raw`a\*`, 'a*', true],
  [String.raw`a\*`, 'ab', false], ['src', 'src/x', false], ['**/a/**/b/**', 'x/a/y/a/b/z', true],
])('the glob %j and the path %j: %j', (glob, path, expected) => {
  expect(matchesGlob(glob, path)).toBe(expected);
}); // prettier-ignore

test('the glob of a path matches it only', () => {
  expect(matchesGlob(exactGlob('a*/b?\\c'), 'a*/b?\\c')).toBe(true);
  expect(matchesGlob(exactGlob('a*/b?\\c'), 'ax/bx\\c')).toBe(false);
});

test('a glob with many wildcards is compared without delay', () => {
  expect(matchesGlob(`${'*a'.repeat(40)}b`, 'a'.repeat(4_000))).toBe(false);
});
