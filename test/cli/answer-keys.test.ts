/** The keys of a terminal that follows a task answer its open request. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AnswerKeys } from '../../cli/answer-keys.ts';
import type { FollowedFrame } from '../../client/follow-task.ts';
import { type Elicitation, elicitationOptions } from '../../contract/elicitation.ts';
import type { PermissionId } from '../../contract/ids.ts';
import type { PermissionOption } from '../../contract/vocabulary.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { labSession } from '../lab/log.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const FORM: Elicitation = {
  mode: 'form',
  message: 'Which service?',
  fields: [
    { name: 'name', type: 'string', required: true },
    { name: 'size', type: 'integer', required: false, default: 3 },
    { name: 'region', type: 'string', required: false, choices: [{ value: 'eu', title: 'Europe' }] },
  ],
};
const YES_NO: readonly PermissionOption[] = [
  { option_id: 'a', name: 'Yes', kind: 'allow_once' },
  { option_id: 'b', name: 'No', kind: 'reject_once' },
];

async function following(elicitation?: Elicitation) {
  const { sql } = database;
  const { taskId, sessionId } = await labSession(sql);
  const id = randomUUID() as PermissionId;
  const options = elicitation ? elicitationOptions(elicitation) : YES_NO;
  await sql`INSERT INTO permissions (id, task_id, session_id, options, elicitation)
            VALUES (${id}, ${taskId}, ${sessionId}, ${sql.json(options as never)}, ${elicitation ? sql.json(elicitation as never) : null})`;
  const said: string[] = [];
  const keys = new AnswerKeys({ sql } as never, { taskId, say: (text) => void said.push(text) });
  const frame = { type: 'permission_requested', permission_id: id, options, tool_call: {}, elicitation };
  keys.see(frame as unknown as FollowedFrame);
  const type = (text: string): void => Array.from(text).forEach((key) => keys.press(key));
  const answered = async () => {
    for (;;) {
      const [row] = await sql<{ chosen: string | null; content: unknown }[]>`SELECT chosen, content FROM permissions WHERE id = ${id}`; // prettier-ignore
      if (row?.chosen) return row;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return { keys, said, type, answered };
}

test('a digit that is no option is answered with those that are, other keys with nothing', async () => {
  const { said, type, answered } = await following();
  type('xq7');
  expect(said).toEqual(['7 is no option; press 1 (Yes), 2 (No)']);
  type('2');
  expect(await answered()).toEqual({ chosen: 'b', content: null });
});

test('a form is filled in field by field: Backspace deletes, a required field needs a value, a number selects a choice', async () => {
  const { keys, said, type, answered } = await following(FORM);
  type('1');
  expect(keys.typing).toBe('name: ▏');
  type('\r');
  expect(said.at(-1)).toBe('name is required');
  type('Adé\u007fa');
  expect(keys.typing).toBe('name: Ada▏');
  type('\r\r1\r');
  expect(await answered()).toEqual({ chosen: 'accept', content: { name: 'Ada', size: 3, region: 'eu' } });
  expect(keys.typing).toBeUndefined();
});

test('Esc leaves the form, and the digits answer again', async () => {
  const { keys, type, answered } = await following(FORM);
  type('1Ada\u001b');
  expect(keys.typing).toBeUndefined();
  type('3');
  expect(await answered()).toEqual({ chosen: 'cancel', content: null });
});

test('a form that was not valid is said, and can be filled in again', async () => {
  const { said, keys, type, answered } = await following(FORM);
  type('1Ada\rbig\r\r');
  await expect.poll(() => said.at(-1), { timeout: 60_000 }).toContain('/size: ');
  type('1');
  expect(keys.typing).toBe('name: ▏');
  type('Ada\r2\r\r');
  expect(await answered()).toEqual({ chosen: 'accept', content: { name: 'Ada', size: 2 } });
});
