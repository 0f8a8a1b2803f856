/** Permission requests in a terminal: what is shown of one, and answers that do not fit. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { requestLines } from '../../cli/request-lines.ts';
import { type Elicitation, elicitationOptions } from '../../contract/elicitation.ts';
import type { PermissionId, SessionId } from '../../contract/ids.ts';
import type { ToolCall } from '../../contract/vocabulary.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { labSession, type LabMessage } from '../lab/log.ts';
import { longhaulWith, type Ran } from '../lab/longhaul.ts';

let database: LabDatabase;
let home: string;
beforeAll(async () => {
  database = await freshDatabase();
  home = await mkdtemp(path.join(tmpdir(), 'longhaul-prompts-'));
});
afterAll(async () => {
  await database.drop();
  await rm(home, { recursive: true, force: true });
});

const run = (...args: string[]): Promise<Ran> =>
  longhaulWith(home, args, { databaseUrl: database.url, temporalAddress: inject('temporalAddress') });

const OPTIONS = [
  { option_id: 'a', name: 'No', kind: 'reject_once' },
  { option_id: 'b', name: 'Yes', kind: 'allow_once' },
];
const FORM: Elicitation = {
  mode: 'form',
  message: 'Which service?',
  fields: [
    { name: 'name', type: 'string', title: 'Name of it', required: true, max_length: 20 },
    { name: 'size', type: 'integer', required: false, minimum: 1, default: 3 },
    { name: 'regions', type: 'array', required: false, choices: [{ value: 'eu', title: 'Europe' }, { value: 'us', title: 'us' }] }, // prettier-ignore
  ],
};
const call = (more: Partial<ToolCall>): ToolCall => ({
  tool_call_id: 'c',
  title: 'Run',
  kind: 'execute',
  status: 'pending',
  locations: [],
  content: [],
  ...more,
});

async function asked({ taskId, sessionId }: LabMessage, title: string, toolCall: ToolCall): Promise<PermissionId> {
  const id = randomUUID() as PermissionId;
  const { sql } = database;
  await sql`INSERT INTO permissions (id, task_id, session_id, options, title, tool_call)
            VALUES (${id}, ${taskId}, ${sessionId}, ${sql.json(OPTIONS)}, ${title}, ${sql.json(toolCall as never)})`;
  return id;
}

test('prompts shows a command once, and paths of the worktree relative to it', async () => {
  const at = await labSession(database.sql);
  const locations = [{ path: `/home/me/worktrees/${at.sessionId}/src/a.ts` }, { path: '/etc/hosts' }];
  const id = await asked(at, 'Run: make install', call({ raw_input: { command: 'make install' }, locations }));
  const { code, stdout } = await run('prompts');
  expect(code).toBe(0);
  expect(stdout.trimEnd().split('\n')).toEqual([
    `? ${id.slice(0, 8)}  Run: make install  (task ${at.taskId.slice(0, 8)})`,
    '    src/a.ts',
    '    /etc/hosts',
    '  1  No  (refuses)',
    '  2  Yes  (allows)',
  ]);
  await database.sql`DELETE FROM permissions`;
});

test('a command that the title does not have in full is shown in full', () => {
  const sessionId = randomUUID() as SessionId;
  const shown = { title: 'Run: rm -rf build', sessionId };
  expect(requestLines({ ...shown, call: call({ raw_input: { command: 'rm -rf build\nrm -rf src' } }) })).toEqual([
    'rm -rf build',
    'rm -rf src',
  ]);
});

test('only the own worktree of the session is left out of a path, also that of a second one', () => {
  const sessionId = randomUUID() as SessionId;
  const other = `/h/worktrees/${randomUUID()}/b`;
  const edit = {
    type: 'diff',
    path: `/h/worktrees/${sessionId}-0a1b2c3d/a`,
    old_text: 'x',
    new_text: 'y\nz\n',
  } as const;
  const lines = requestLines({
    call: call({ content: [edit], locations: [{ path: other }] }),
    title: 'Edit',
    sessionId,
  });
  expect(lines).toEqual([other, 'a', '- x', '+ y', '+ z']);
});

test('a number that is not offered is refused with the numbers that are', async () => {
  const id = await asked(await labSession(database.sql), 'Run', call({}));
  expect(await run('answer', id.slice(0, 8), '7')).toMatchObject({
    code: 2,
    stderr: 'longhaul: answer: expected allow, deny or one of the numbers 1 (No), 2 (Yes); found 7.\n',
  });
  expect(await run('answer', id.slice(0, 8), '2')).toMatchObject({ code: 0 });
});

test('a word that is no answer is refused with the numbers and names, without the ids of the options', async () => {
  const id = await asked(await labSession(database.sql), 'Run', call({}));
  expect(await run('answer', id.slice(0, 8), 'perhaps')).toMatchObject({
    code: 2,
    stderr: 'longhaul: answer: expected allow, deny or one of the numbers 1 (No), 2 (Yes); found perhaps.\n',
  });
});

test('a form is shown with its fields, refused by field, and sent with --set', async () => {
  await database.sql`DELETE FROM permissions`;
  const at = await labSession(database.sql);
  const { sql } = database;
  const id = await asked(at, FORM.message, call({}));
  await sql`UPDATE permissions SET kind = 'elicitation', options = ${sql.json(elicitationOptions(FORM) as never)},
                   elicitation = ${sql.json(FORM as never)} WHERE id = ${id}`;
  const short = id.slice(0, 8);
  expect((await run('prompts')).stdout.trimEnd().split('\n')).toEqual([
    `? ${short}  Which service?  (task ${at.taskId.slice(0, 8)})`,
    '    name (text, required, at most 20)  Name of it',
    '    size (whole number, optional, from 1, default 3)',
    '    regions (any of these, optional)',
    '      1  eu  Europe',
    '      2  us',
    '  1  Send the form  (allows)',
    '  2  Decline  (refuses)',
    '  3  Cancel  (refuses)',
  ]);
  expect(await run('answer', short, '1', '--set', 'size=big', '--set', 'name=Ada')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('/size: ') as string,
  });
  expect(await run('answer', short, '1', '--set', 'nome=Ada')).toMatchObject({
    code: 2,
    stderr: 'longhaul: --set: expected NAME=VALUE with one of the fields name, size, regions; found nome=Ada.\n',
  });
  expect(await run('answer', short, 'accept', '--set', 'name=Ada', '--set', 'regions=1,us')).toMatchObject({ code: 0 });
  expect(await sql`SELECT chosen, content FROM permissions WHERE id = ${id}`).toEqual([
    { chosen: 'accept', content: { name: 'Ada', size: 3, regions: ['eu', 'us'] } },
  ]);
});

test('the id of a task instead of that of a request: its open requests are named', async () => {
  const at = await labSession(database.sql);
  const short = at.taskId.slice(0, 8);
  const answer = () => run('answer', short, 'allow');
  const head = `longhaul: ${short} is a task, not a permission request. `;
  expect(await answer()).toMatchObject({ code: 2, stderr: `${head}None of its requests waits for an answer.\n` });
  const id = await asked(at, 'Run make', call({}));
  expect(await answer()).toMatchObject({
    code: 2,
    stderr: `${head}Its open requests:\n  ${id.slice(0, 8)}  Run make\n`,
  });
});
