/** Rules answer before the policy, and the answer "always" makes rules. With a real database and a folder with links. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AnswerWatch } from '../../activities/answer-watch.ts';
import { Hibernation } from '../../activities/hibernation.ts';
import { permissionAnswers } from '../../activities/permissions.ts';
import type { PermissionDecision } from '../../agents/driver.ts';
import { addRule, listRules, removeRule } from '../../client/permission-rules.ts';
import { answerPermission, listPermissions, type Permission } from '../../client/permissions.ts';
import type { ProjectId } from '../../contract/ids.ts';
import type { PermissionOption, ToolCall } from '../../contract/vocabulary.ts';
import type { TurnTask } from '../../store/turn-task.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { type LabMessage, labSession } from '../lab/log.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let dir: string;
beforeAll(async () => {
  database = await freshDatabase();
  dir = await realpath(await mkdtemp(join(tmpdir(), 'longhaul-rules-')));
  await mkdir(join(dir, 'worktree', 'src'), { recursive: true });
  await mkdir(join(dir, 'outside'));
  await symlink(join(dir, 'outside'), join(dir, 'worktree', 'src', 'link'));
  await symlink('src', join(dir, 'worktree', 'also'));
  await writeFile(join(dir, 'worktree', '.git'), 'gitdir: elsewhere\n');
});
afterAll(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

const TOKEN = '00000000-0000-4000-8000-000000000001';
const OPTIONS: readonly PermissionOption[] = [
  { option_id: 'a', name: 'Always', kind: 'allow_always' },
  { option_id: 'yes', name: 'Yes', kind: 'allow_once' },
  { option_id: 'no', name: 'No', kind: 'reject_once' },
];
const call = (more: Partial<ToolCall>): ToolCall => ({
  tool_call_id: 'c',
  title: 'It',
  kind: 'execute',
  status: 'pending',
  locations: [],
  content: [],
  ...more,
});
const run = (command: unknown, more = {}): ToolCall => call({ raw_input: { command, ...more } });
const edit = (...paths: string[]): ToolCall => call({ kind: 'edit', locations: paths.map((path) => ({ path })) });

interface LabAgent extends LabMessage {
  readonly projectId: ProjectId;
  readonly warnings: string[];
  ask(toolCall: ToolCall, isCut?: boolean): Promise<PermissionDecision>;
  /** The request that waits. */
  waiting(): Promise<Permission>;
}

async function agent(policy: 'allow' | 'deny' | 'ask', earlier?: LabAgent): Promise<LabAgent> {
  const { sql } = database;
  const of = await labSession(sql);
  const projectId = earlier?.projectId ?? (randomUUID() as ProjectId);
  if (!earlier) await sql`INSERT INTO projects (id, name) VALUES (${projectId}, 'lab')`;
  await sql`UPDATE sessions SET writer = ${TOKEN}, project_id = ${projectId} WHERE id = ${of.sessionId}`;
  await sql`UPDATE tasks SET project_id = ${projectId} WHERE id = ${of.taskId}`;
  const warnings: string[] = [];
  const stop = new AbortController();
  const answer = permissionAnswers({
    deps: { sql, answers: new AnswerWatch(sql), worktreesDir: dir },
    task: { id: of.taskId, permission_policy: policy, worktree_path: join(dir, 'worktree'), base_commit: 'b' } as TurnTask,
    taken: { kind: 'taken', ...of, token: TOKEN, attempt: 1 } as never,
    stream: { flush: async () => undefined },
    recorder: { record: (event) => void (event.kind === 'warning' && warnings.push(event.message)) },
    signal: stop.signal,
    enter: () => undefined,
    hibernation: new Hibernation({ afterMs: undefined, hibernate: () => undefined }),
  }); // prettier-ignore
  return {
    ...of,
    projectId,
    warnings,
    ask: (toolCall, isCut = false) => answer({ toolCall, options: OPTIONS, hash: randomUUID(), isCut }),
    waiting: () =>
      until('a request', async () => (await listPermissions({ sql }, { taskId: of.taskId, state: 'pending' }))[0]),
  };
}

const YES = { kind: 'selected', optionId: 'yes' };
const NO = { kind: 'selected', optionId: 'no' };

test('rules of the task count before those of the session, then the project, then the policy', async () => {
  const lab = await agent('deny');
  const { taskId, sessionId, projectId } = lab;
  expect(await lab.ask(run('make'))).toEqual(NO);
  await addRule(database, { place: { projectId }, effect: 'allow', match: { command_pattern: 'make *' } });
  expect(await lab.ask(run('make all'))).toEqual(YES);
  await addRule(database, { place: { sessionId }, effect: 'deny', match: { command_pattern: 'make all' } });
  expect(await lab.ask(run('make all'))).toEqual(NO);
  await addRule(database, { place: { taskId }, effect: 'allow', match: { tool_kind: 'execute' } });
  expect(await lab.ask(run('make all'))).toEqual(YES);
  expect((await listRules(database, { taskId })).map(({ scope }) => scope)).toEqual(['task', 'session', 'project']);
  expect(lab.warnings.at(-1)).toMatch(/^Not allowed, because of the session's rule \w{8} \(deny command make all\): It: make all$/); // prettier-ignore
});

test('in one scope the rule that was added first applies, unless another is put first; a removed rule no longer applies', async () => {
  const lab = await agent('deny');
  const place = { sessionId: lab.sessionId };
  await addRule(database, { place, effect: 'allow', match: { command_pattern: 'make *' } });
  await addRule(database, { place, effect: 'deny', match: { command_pattern: 'make *' } });
  expect(await lab.ask(run('make'))).toEqual(YES);
  const first = await addRule(database, { place, effect: 'deny', match: { command_pattern: 'make' }, first: true });
  expect(await lab.ask(run('make'))).toEqual(NO);
  await removeRule(database, first.id);
  expect(await lab.ask(run('make'))).toEqual(YES);
});

test('a rule that allows npm test allows no command beside it', async () => {
  const lab = await agent('deny');
  await addRule(database, { place: lab, effect: 'allow', match: { command_pattern: 'npm test' } });
  for (const allowed of ['npm test', ['npm', 'test'], ['bash', '-lc', 'npm test']])
    expect([allowed, await lab.ask(run(allowed))]).toEqual([allowed, YES]);
  for (const other of ['npm test; rm -rf x', ['bash', '-lc', 'npm test; rm -rf x'], ['npm', 'test; rm'], ['npm test'], ['/tmp/bash', '-c', 'npm test'], 'npm test | sh', 5, null])
    expect([other, await lab.ask(run(other))]).toEqual([other, NO]); // prettier-ignore
  expect(await lab.ask(run('npm test', { env: { PATH: '/tmp' } }))).toEqual(NO);
  expect(await lab.ask(run('npm test', { workdir: '/tmp' }))).toEqual(NO);
  expect(await lab.ask(run('npm test', { workdir: 'src' }))).toEqual(YES);
  expect(await lab.ask(run('npm', { args: ['test'] }))).toEqual(YES);
  expect(await lab.ask(run('npm test', { args: ['; rm'] }))).toEqual(NO);
  expect(await lab.ask(call({ title: 'npm test' }))).toEqual(NO); // a title is any text
});

test('a path is compared by its real path in the worktree', async () => {
  const lab = await agent('deny');
  await addRule(database, { place: lab, effect: 'allow', match: { path_glob: 'src/**' } });
  for (const inside of ['src/new.ts', join(dir, 'worktree/src/a/b'), 'also/x'])
    expect([inside, await lab.ask(edit(inside))]).toEqual([inside, YES]);
  for (const other of ['src/link/x', 'src/../x', join(dir, 'outside/x'), 'lib/x', '/etc/passwd', 'src/.git/hooks/x', ''])
    expect([other, await lab.ask(edit(other))]).toEqual([other, NO]); // prettier-ignore
  expect(await lab.ask(edit('src/a', 'lib/b'))).toEqual(NO);
  expect(await lab.ask(edit())).toEqual(NO);
  expect(await lab.ask(edit('src/a'), true)).toEqual(NO); // it names more paths than we have
  expect(await lab.ask(call({ kind: 'execute', locations: [{ path: 'src/a' }] }))).toEqual(NO);
  expect(await lab.ask(call({ kind: 'other', locations: [{ path: 'src/a' }] }))).toEqual(NO);
});

test('a rule may ask where the policy allows', async () => {
  const lab = await agent('allow');
  await addRule(database, { place: lab, effect: 'ask', match: { path_glob: '**/*.sql' } });
  expect(await lab.ask(edit('src/a.ts'))).toEqual(YES);
  const decision = lab.ask(edit('src/a.sql'));
  await answerPermission(database, { id: (await lab.waiting()).id, answer: 'deny', by: 'test' });
  expect(await decision).toEqual(NO);
});

test('"always" allows the same again in the session, and the agent gets its "once"', async () => {
  const lab = await agent('ask');
  const decision = lab.ask(run('npm test && npm run lint'));
  const asked = await lab.waiting();
  expect(asked.options.map(({ name }) => name)).toEqual([
    'Yes',
    'Allow always in this session: npm test · npm run lint',
    'Allow always in this project: npm test · npm run lint',
    'No',
  ]);
  await answerPermission(database, { id: asked.id, answer: 'always', by: 'test' });
  expect(await decision).toEqual(YES);
  expect(await listRules(database, { sessionId: lab.sessionId })).toMatchObject([
    { scope: 'session', effect: 'allow', command_pattern: 'npm test', permission_id: asked.id },
    { command_pattern: 'npm run lint' },
  ]);
  expect(await lab.ask(run('npm run lint'))).toEqual(YES);
  const other = lab.ask(run('npm run lint --fix'));
  await answerPermission(database, { id: (await lab.waiting()).id, answer: 'deny', by: 'test' });
  expect(await other).toEqual(NO);
});

test('"always" for the project applies to its other sessions; for an edit the rule has the path', async () => {
  const lab = await agent('ask');
  const decision = lab.ask(edit(join(dir, 'worktree/also/[a]*.ts')));
  const asked = await lab.waiting();
  await answerPermission(database, { id: asked.id, answer: 'longhaul:always:project', by: 'test' });
  expect(await decision).toEqual(YES);
  const later = await agent('deny', lab);
  expect(await later.ask(edit('src/[a]*.ts'))).toEqual(YES);
  expect(await later.ask(edit('src/[a]b.ts'))).toEqual(NO);
  expect(await later.ask(call({ kind: 'delete', locations: [{ path: 'src/[a]*.ts' }] }))).toEqual(NO);
});

test.each([
  ['no path and no command', call({ kind: 'fetch' })],
  ['a path outside', edit('/etc/passwd')],
  ['a command that only its title shows', call({ title: 'npm test' })],
])('"always" is not offered for %s', async (_name, toolCall) => {
  const lab = await agent('ask');
  const decision = lab.ask(toolCall);
  const asked = await lab.waiting();
  expect(asked.options.map(({ option_id: id }) => id)).toEqual(['yes', 'no']);
  await answerPermission(database, { id: asked.id, answer: 'deny', by: 'test' });
  await decision;
});

test.each([
  [{}, 'found none'],
  [{ path_glob: 'a', command_pattern: 'b' }, 'found both'],
  [{ path_glob: '/etc/**' }, 'relative to the worktree'],
  [{ path_glob: 'a/../b' }, 'without ".."'],
  [{ tool_kind: 'edit', command_pattern: 'b' }, 'expected the tool_kind execute'],
])('a rule for %j is refused', async (match, why) => {
  const { sessionId } = await labSession(database.sql);
  await expect(addRule(database, { place: { sessionId }, effect: 'allow', match })).rejects.toThrow(why);
});
