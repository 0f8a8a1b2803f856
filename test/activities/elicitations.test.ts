/** An agent's form and its answer, with a real database and the worker's own watch. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AnswerWatch } from '../../activities/answer-watch.ts';
import { personAsker } from '../../activities/ask-person.ts';
import { asksPerson, elicitationAnswers } from '../../activities/elicitations.ts';
import { Hibernation } from '../../activities/hibernation.ts';
import type { Elicitation } from '../../contract/elicitation.ts';
import { answerPermission, listPermissions } from '../../frames/permissions.ts';
import { insertRule } from '../../store/permission-rules.ts';
import type { TurnTask } from '../../store/turn-task.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { labSession } from '../lab/log.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const TOKEN = '00000000-0000-4000-8000-000000000001';
const FORM: Elicitation = {
  mode: 'form',
  message: 'Which service?',
  fields: [
    { name: 'name', type: 'string', required: true, min_length: 2 },
    { name: 'size', type: 'integer', required: false, default: 3 },
  ],
};
const OPTIONAL: Elicitation = { ...FORM, fields: FORM.fields.slice(1) };
const VISIT: Elicitation = { mode: 'url', message: 'Log in', url: 'https://example.org/login' };

async function asked(elicitation: Elicitation, more: Partial<TurnTask> = {}) {
  const { sql } = database;
  const of = await labSession(sql);
  await sql`UPDATE sessions SET writer = ${TOKEN} WHERE id = ${of.sessionId}`;
  const recorded: { message?: string }[] = [];
  const phases: string[] = [];
  const task = { id: of.taskId, permission_policy: 'ask', permission_timeout_s: null, ...more } as TurnTask;
  const asking = {
    deps: { sql, answers: new AnswerWatch(sql), worktreesDir: '/tmp/worktrees' },
    task,
    taken: { kind: 'taken', ...of, token: TOKEN, attempt: 1 } as never,
    stream: { flush: async () => undefined },
    recorder: { record: (event: object) => void recorded.push(event) },
    signal: new AbortController().signal,
    enter: (phase: string) => void phases.push(phase),
    hibernation: new Hibernation({ afterMs: undefined, hibernate: () => undefined }),
  };
  const decision = elicitationAnswers(asking, personAsker(asking))({ elicitation, toolCall: undefined, hash: 'h' });
  const rows = () => listPermissions(sql, { taskId: of.taskId });
  const row = async () => {
    for (;;) {
      const [one] = await rows();
      if (one) return one;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return { of, asking, decision, rows, row, recorded, phases };
}

test('the row has the form, the checked answer reaches the agent with its defaults, and the row is delivered', async () => {
  const { decision, row, rows, phases, recorded } = await asked(FORM);
  const { id, kind, title, elicitation, options } = await row();
  expect([kind, title, elicitation, options.map((one) => one.option_id)]).toEqual(['elicitation', 'Which service?', FORM, ['accept', 'decline', 'cancel']]); // prettier-ignore
  await answerPermission(database.sql, { id, answer: 'accept', content: { name: 'Ada' }, by: 'test' });
  expect(await decision).toEqual({ action: 'accept', content: { name: 'Ada', size: 3 } });
  expect(await rows()).toMatchObject([{ state: 'delivered', chosen: 'accept', content: { name: 'Ada', size: 3 } }]);
  expect([phases, recorded]).toEqual([['waiting_permission', 'working'], []]);
});

test('an answer that does not fit is refused by path, and the form still waits', async () => {
  const { decision, row } = await asked(FORM);
  const { id } = await row();
  const answer = (content: unknown) => answerPermission(database.sql, { id, answer: 'accept', content, by: 'test' });
  await expect(answer({ name: 'A', size: 'big' })).rejects.toMatchObject({
    code: 'form_not_valid',
    parts: [{ pointer: '/name' }, { pointer: '/size' }],
  });
  await expect(answer(undefined)).rejects.toMatchObject({ code: 'form_not_valid', parts: [{ pointer: '/name' }] });
  expect((await row()).state).toBe('pending');
  await answerPermission(database.sql, { id, answer: 'deny', by: 'test' });
  expect(await decision).toEqual({ action: 'decline' });
});

test('content with any other answer is refused', async () => {
  const { decision, row } = await asked(VISIT);
  const { id } = await row();
  const answer = (given: string, content?: unknown) => answerPermission(database.sql, { id, answer: given, content, by: 'test' }); // prettier-ignore
  await expect(answer('accept', {})).rejects.toMatchObject({ code: 'invalid_input' });
  await answer('accept');
  expect(await decision).toEqual({ action: 'accept' });
});

test('an answer that another program wrote into the row and that does not fit the form is not sent', async () => {
  const { decision, row, recorded } = await asked(FORM);
  const { id } = await row();
  const content = { name: 7, more: 'x' };
  await database.sql`UPDATE permissions SET state = 'answered', chosen = 'accept', content = ${database.sql.json(content)} WHERE id = ${id}`;
  expect(await decision).toEqual({ action: 'cancel' });
  expect(recorded[0]?.message).toMatch(/^Not answered, because the stored answer does not fit the form: Which service\?.*\/name/); // prettier-ignore
});

test.each([
  ['deletes the row', (id: string) => database.sql`DELETE FROM permissions WHERE id = ${id}`],
  ['sets a state of its own', (id: string) => database.sql`UPDATE permissions SET state = 'odd' WHERE id = ${id}`],
])(
  'another program %s while the agent waits: the question is cancelled, and a warning says so',
  async (_name, change) => {
    const { decision, row, recorded } = await asked(FORM);
    await change((await row()).id);
    expect(await decision).toEqual({ action: 'cancel' });
    expect(recorded[0]?.message).toBe('Not answered, because another program withdrew the request: Which service?');
  },
);

test.each([
  ['deny', FORM, { action: 'decline' }],
  ['allow', OPTIONAL, { action: 'accept', content: { size: 3 } }],
  ['allow', FORM, { action: 'cancel' }],
  ['allow', VISIT, { action: 'cancel' }],
] as const)('after its time the default %s answers', async (permission_default, elicitation, expected) => {
  const { decision, rows } = await asked(elicitation, { permission_timeout_s: 1, permission_default });
  expect(await decision).toEqual(expected);
  expect(await rows()).toMatchObject([{ state: 'expired', chosen: expected.action, answered_by: 'timeout' }]);
});

test.each([
  ['allow', 'cancel'],
  ['deny', 'decline'],
] as const)('a policy %s asks no person and accepts nothing: %s', async (permission_policy, action) => {
  const { asking, decision, rows, recorded } = await asked(FORM, { permission_policy });
  expect(await decision).toEqual({ action });
  expect([await rows(), await asksPerson(asking)]).toEqual([[], false]);
  expect(recorded[0]?.message).toContain(
    `Not answered, because the task's permission policy is "${permission_policy}"`,
  );
});

test('a rule for the kind elicitation is compared before the policy', async () => {
  const { asking, of, decision, row } = await asked(FORM);
  const { id } = await row();
  await answerPermission(database.sql, { id, answer: 'cancel', by: 'test' });
  expect(await decision).toEqual({ action: 'cancel' });
  expect(await asksPerson(asking)).toBe(true);
  const match = { tool_kind: 'elicitation', path_glob: null, command_pattern: null };
  await insertRule(database.sql, { place: { taskId: of.taskId }, effect: 'deny', match });
  expect(await asksPerson(asking)).toBe(false);
});
