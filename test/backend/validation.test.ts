import { expect, test } from 'vitest';
import { z } from 'zod';
import { newTask } from '../../backend/routes/task-schemas.ts';
import { idParams, pageQuery, query } from '../../backend/schemas.ts';
import { InvalidRequest, validatorCompiler } from '../../backend/validation.ts';

function partsOf(schema: z.ZodType, data: unknown): readonly unknown[] {
  const validate = validatorCompiler({ schema, method: 'POST', url: '/' });
  const { error } = validate(data) as { error?: unknown };
  if (!(error instanceof InvalidRequest)) throw new Error('expected a refusal');
  return error.parts.map(({ pointer, detail }) => [pointer, detail]);
}

const task = { input: 'do it' };
const list = query(pageQuery);

test.each<[string, z.ZodType, unknown, string, string]>([
  ['a number as text', newTask, { input: 7 }, '/input', 'expected a text, found 7'],
  ['no input', newTask, {}, '/input', 'expected a text, found nothing'],
  ['an empty input', newTask, { input: '' }, '/input', 'expected at least 1 character, found an empty text'],
  ['a priority out of range', newTask, { ...task, priority: 9 }, '/priority', 'expected at most 5, found 9'],
  ['half a priority', newTask, { ...task, priority: 1.5 }, '/priority', 'expected a whole number, found 1.5'],
  ['another policy', newTask, { ...task, permission_policy: 'maybe' }, '/permission_policy', 'expected one of "allow", "deny", "ask", found "maybe"'],
  ['a list as model', newTask, { ...task, model: ['m'] }, '/model', 'expected a text, found a list'],
  ['an object as model', newTask, { ...task, model: {} }, '/model', 'expected a text, found an object'],
  ['a long model', newTask, { ...task, model: 'x'.repeat(300) }, '/model', `expected at most 200 characters, found "${'x'.repeat(60)}"… (300 characters)`],
  ['an unknown field', newTask, { ...task, colour: 'red' }, '', 'expected no field "colour": leave out or correct what is not in /api/openapi.json'],
  ['a list as the body', newTask, [], '', 'expected an object, found a list'],
  ['a short id', idParams, { id: '1' }, '/id', 'expected a uuid, found "1"'],
  ['a limit of 0', list, { limit: '0' }, '/limit', 'expected at least 1, found 0'],
  ['a limit that is no number', list, { limit: 'all' }, '/limit', 'expected a number, found a text that is no number'],
  ['an unknown parameter', list, { sate: 'x' }, '', 'unknown parameter "sate"; known: limit, cursor'],
])('%s is refused in a plain sentence', (_name, schema, data, pointer, detail) => {
  expect(partsOf(schema, data)).toEqual([[pointer, detail]]);
}); // prettier-ignore
