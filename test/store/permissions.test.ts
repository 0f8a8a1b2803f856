import { afterAll, beforeAll, expect, test } from 'vitest';
import { requestHash } from '../../agents/acp/request-hash.ts';
import {
  answerPermission,
  closePermissions,
  deliverAnswer,
  findPermission,
  openPermission,
  type OpenedPermission,
} from '../../store/permissions.ts';
import type { ToolCall } from '../../contract/vocabulary.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { type LabMessage, labSession } from '../lab/log.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const OPTIONS = [{ option_id: 'yes', name: 'Yes', kind: 'allow_once' }] as const;
const call = (command: string): ToolCall => ({
  tool_call_id: 'c1',
  title: 'Run a command',
  kind: 'execute',
  status: 'pending',
  locations: [],
  content: [],
  raw_input: { command },
});

const TOKENS = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const;

/** Takes the session for that attempt, as the dispatch step does. */
async function takeAs(of: LabMessage, attempt: 1 | 2): Promise<void> {
  await database.sql`UPDATE sessions SET writer = ${TOKENS[attempt - 1] ?? ''} WHERE id = ${of.sessionId}`;
}

async function ask(of: LabMessage, attempt: 1 | 2, command: string): Promise<OpenedPermission> {
  const toolCall = call(command);
  return openPermission(database.sql, {
    ...of,
    attempt,
    token: TOKENS[attempt - 1] ?? '',
    hash: requestHash(toolCall, { rawInput: { command } }, OPTIONS),
    kind: 'tool',
    title: command,
    toolCall,
    options: OPTIONS,
  });
}

const idOf = (opened: OpenedPermission) => {
  if (opened.kind === 'superseded') throw new TypeError('expected a request, found an outdated attempt');
  return opened.id;
};
const stateOf = async (opened: OpenedPermission) => (await findPermission(database.sql, idOf(opened)))?.state;

test('an equal request of the next attempt is the same one, and its answer is delivered once', async () => {
  const of = await labSession(database.sql);
  await takeAs(of, 1);
  const first = await ask(of, 1, 'make install');
  await answerPermission(database.sql, { id: idOf(first), optionId: 'yes', by: 'test' });
  await takeAs(of, 2);
  const again = await ask(of, 2, 'make install');
  expect(again).toEqual({ kind: 'found', id: idOf(first) });
  const delivery = { id: idOf(first), sessionId: of.sessionId, token: TOKENS[1] };
  expect(await deliverAnswer(database.sql, delivery)).toBe(true);
  expect(await deliverAnswer(database.sql, delivery)).toBe(false);
  expect(await ask(of, 2, 'make install')).toMatchObject({ kind: 'opened' });
});

test('a request that differs by one character is a new one, and does not use the answer of the earlier one', async () => {
  const of = await labSession(database.sql);
  await takeAs(of, 1);
  const first = await ask(of, 1, 'rm -rf build');
  await answerPermission(database.sql, { id: idOf(first), optionId: 'yes', by: 'test' });
  await takeAs(of, 2);
  const other = await ask(of, 2, 'rm -rf build/');
  expect(other).toMatchObject({ kind: 'opened' });
  expect([await stateOf(first), await stateOf(other)]).toEqual(['superseded', 'pending']);
});

test('an outdated attempt opens nothing and delivers nothing', async () => {
  const of = await labSession(database.sql);
  await takeAs(of, 1);
  const first = await ask(of, 1, 'make');
  await answerPermission(database.sql, { id: idOf(first), optionId: 'yes', by: 'test' });
  await takeAs(of, 2);
  expect(await ask(of, 1, 'make test')).toEqual({ kind: 'superseded' });
  expect(await deliverAnswer(database.sql, { id: idOf(first), sessionId: of.sessionId, token: TOKENS[0] })).toBe(false);
});

test('two requests of one attempt wait side by side, each with its own answer', async () => {
  const of = await labSession(database.sql);
  await takeAs(of, 1);
  const [one, two] = [await ask(of, 1, 'make a'), await ask(of, 1, 'make b')];
  await answerPermission(database.sql, { id: idOf(two), optionId: 'yes', by: 'test' });
  expect([await stateOf(one), await stateOf(two)]).toEqual(['pending', 'answered']);
  await database.sql.begin((tx) => closePermissions(tx, { ...of, state: 'cancelled' }));
  expect([await stateOf(one), await stateOf(two)]).toEqual(['cancelled', 'cancelled']);
});

test('requests are compared by content, without the ids of the attempt', () => {
  const asked = { toolCallId: 'a', rawInput: { b: 1, a: [2, { d: 4, c: 3 }] } };
  const reordered = { rawInput: { a: [2, { c: 3, d: 4 }], b: 1 }, toolCallId: 'z', status: 'pending' };
  const hash = requestHash(call('x'), asked, OPTIONS);
  expect(requestHash({ ...call('x'), tool_call_id: 'other' }, reordered, OPTIONS)).toBe(hash);
  expect(requestHash(call('x '), asked, OPTIONS)).not.toBe(hash);
  expect(requestHash(call('x'), { ...asked, rawInput: { b: 1, a: [2] } }, OPTIONS)).not.toBe(hash);
  expect(requestHash(call('x'), asked, [])).not.toBe(hash);
  // A field of the call's input counts, also where its name is that of a field of the call.
  const setting = (status: string) =>
    requestHash({ ...call('x'), raw_input: { status } }, { rawInput: { status } }, []);
  expect(setting('open')).not.toBe(setting('closed'));
});
