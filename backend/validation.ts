/**
 * Validates requests against their schemas. For each invalid part the error has a sentence with what was expected and
 * what was found.
 */
import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';

export interface InvalidPart {
  /** JSON pointer to the invalid part. It is empty if the whole value is invalid. */
  readonly pointer: string;
  readonly detail: string;
}

export class InvalidRequest extends Error {
  readonly parts: readonly InvalidPart[];
  /**
   * Says which part of the request is invalid: `body`, `querystring`, `params` or `headers`. Fastify sets this
   * property.
   */
  readonly validationContext?: string;

  constructor(parts: readonly InvalidPart[]) {
    super('the request is not as expected');
    this.name = 'InvalidRequest';
    this.parts = parts;
  }
}

type Validated = { readonly value: unknown } | { readonly error: InvalidRequest };

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (data): Validated => {
    const result = schema.safeParse(data, { error: sentenceOf });
    if (result.success) return { value: result.data };
    const parts = result.error.issues.map(({ path, message }) => ({
      pointer: path.map((part) => `/${String(part)}`).join(''),
      detail: message,
    }));
    return { error: new InvalidRequest(parts) };
  };

type Issue = Parameters<z.core.$ZodErrorMap>[0];

function sentenceOf(issue: Issue): string {
  if (issue.code === 'unrecognized_keys') return unknownFields(issue.keys);
  return `expected ${expectedOf(issue)}, found ${foundText(issue.input)}`;
}

function unknownFields(keys: readonly string[]): string {
  const names = keys.map((key) => foundText(key)).join(', ');
  return `expected no ${keys.length === 1 ? 'field' : 'fields'} ${names}: leave out or correct what is not in /api/openapi.json`;
}

function expectedOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return `${issue.values.length === 1 ? '' : 'one of '}${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'invalid_format':
      return FORMATS[issue.format] ?? `the format ${issue.format}`;
    case 'too_small':
      return `at least ${sizeText(issue.origin, Number(issue.minimum))}`;
    case 'too_big':
      return `at most ${sizeText(issue.origin, Number(issue.maximum))}`;
    default:
      return 'a value as /api/openapi.json describes it';
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
};
const FORMATS: Readonly<Record<string, string>> = { guid: 'a uuid', uuid: 'a uuid', safeint: 'a whole number' };

function sizeText(origin: string, size: number): string {
  if (origin === 'string') return `${size} ${size === 1 ? 'character' : 'characters'}`;
  return origin === 'array' ? `${size} ${size === 1 ? 'item' : 'items'}` : String(size);
}

const SHOWN_CHARS = 60;

function foundText(input: unknown): string {
  if (input === undefined) return 'nothing';
  if (input === '') return 'an empty text';
  if (typeof input === 'number' && Number.isNaN(input)) return 'a text that is no number';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object' && input !== null) return 'an object';
  if (typeof input !== 'string') return JSON.stringify(input) ?? typeof input;
  return input.length <= SHOWN_CHARS
    ? JSON.stringify(input)
    : `${JSON.stringify(input.slice(0, SHOWN_CHARS))}… (${input.length} characters)`;
}
