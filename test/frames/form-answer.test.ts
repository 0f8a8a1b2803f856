/** Answers to an agent's form: what fits, and what is wrong by its path. */
import { expect, test } from 'vitest';
import type { FormField } from '../../contract/elicitation.ts';
import { formAnswer } from '../../frames/form-answer.ts';

const field = (name: string, type: string, more: Partial<FormField> = {}): FormField => ({
  name,
  type,
  required: true,
  ...more,
});
const check = (fields: readonly FormField[], given: unknown) =>
  formAnswer({ mode: 'form', message: 'm', fields }, given);
const pointers = (fields: readonly FormField[], given: unknown): string[] => {
  const answer = check(fields, given);
  return answer.kind === 'wrong' ? answer.parts.map(({ pointer }) => pointer) : [];
};

const FIELDS = [
  field('name', 'string', { min_length: 2, max_length: 5 }),
  field('size', 'integer', { minimum: 1, maximum: 9 }),
  field('dry/run', 'boolean', { default: false }),
  field('colour', 'string', { choices: [{ value: 'red', title: 'Red' }] }),
  field('parts', 'array', { required: false, min_items: 1, choices: [{ value: 'a', title: 'a' }] }),
];

test('an answer that fits is returned with the defaults of the omitted fields', () => {
  expect(check(FIELDS, { name: 'Ada', size: 2, colour: 'red' })).toEqual({
    kind: 'valid',
    content: { name: 'Ada', size: 2, 'dry/run': false, colour: 'red' },
  });
});

test('each wrong field is named by its JSON pointer', () => {
  const given = { name: 'A', size: 2.5, 'dry/run': 'yes', colour: 'blue', parts: ['a', 'b'], more: 1 };
  expect(pointers(FIELDS, given).toSorted()).toEqual(['', '/colour', '/dry~1run', '/name', '/parts/1', '/size']);
  expect(pointers(FIELDS, {})).toEqual(['/name', '/size', '/colour']);
});

test.each([[null], ['text'], [[]], [7]])('%j is no answer', (given) => {
  expect(check(FIELDS, given)).toMatchObject({ kind: 'wrong' });
});

test.each([
  ['email', 'a@example.org', 'a@'],
  ['uri', 'https://example.org/x', 'example'],
  ['date', '2026-02-28', '2026-02-30'],
  ['date-time', '2026-02-28T10:00:00+02:00', '10:00'],
])('the format %s accepts %s and refuses %s', (format, good, bad) => {
  const fields = [field('x', 'string', { format })];
  expect([check(fields, { x: good }).kind, check(fields, { x: bad }).kind]).toEqual(['valid', 'wrong']);
});

test('a pattern is checked, and one that would run for years is ended and refuses', () => {
  const fields = (pattern: string) => [field('x', 'string', { pattern })];
  expect(check(fields('^[a-z]+$'), { x: 'abc' }).kind).toBe('valid');
  expect(check(fields('^[a-z]+$'), { x: 'ABC' }).kind).toBe('wrong');
  expect(check(fields('^(a+)+$'), { x: `${'a'.repeat(60)}!` }).kind).toBe('wrong');
  expect(check(fields('('), { x: 'a' }).kind).toBe('wrong');
});

test('a field of a type that a later version of ACP may have accepts any value of ACP', () => {
  expect(check([field('x', 'colour')], { x: ['a'] }).kind).toBe('valid');
  expect(check([field('x', 'colour')], { x: {} }).kind).toBe('wrong');
});
