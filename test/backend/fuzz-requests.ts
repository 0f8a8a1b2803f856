/** Requests made from an OpenAPI document: mostly as it says, partly not at all. */
import * as fc from 'fast-check';
import { z } from 'zod';
import type { OpenApi } from './documented.ts';

const schema = z.looseObject({
  $ref: z.string().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  enum: z.array(z.unknown()).optional(),
  anyOf: z.array(z.unknown()).optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  required: z.array(z.string()).optional(),
  format: z.string().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
});

export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** What makes requests meet something: ids of rows, paths, names. */
export interface Known {
  readonly ids: readonly string[];
  readonly words: readonly string[];
  /** Values that are right for what is called so. */
  readonly named: Readonly<Record<string, readonly string[]>>;
  /** Bodies that are right as a whole, by operation (`POST /api/tasks`): some are sent with one part of them changed. */
  readonly bodies: Readonly<Record<string, readonly object[]>>;
}

/** Characters that something on the way might take for more than text. */
const nasty = fc.constantFrom(
  '\0',
  'a\0b',
  '\0\0',
  '\ud800',
  '%00',
  "'",
  '"; DROP TABLE tasks; --',
  '../../etc/passwd',
  '{{7*7}}',
  '\r\nx: y',
  '\u202e',
  '💥',
);
const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), nasty, nasty);
const junk = fc.oneof(
  anyText,
  fc.jsonValue(),
  fc.double(),
  fc.constantFrom(null, '', [], {}, -0, 1e308, Number.MAX_SAFE_INTEGER),
);

export function requestsFrom(document: OpenApi, known: Known): fc.Arbitrary<FuzzRequest> {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  return fc.constantFrom(...operations).chain(({ path, method, operation }) => {
    const of = (place: string) => operation.parameters.filter((parameter) => parameter.in === place);
    const values = (place: string) =>
      fc.record(
        Object.fromEntries(
          of(place).map(({ name, schema: wanted }) => [name, named(name, document, wanted, known).map(asText)]),
        ),
        { requiredKeys: of(place).flatMap(({ name, required }) => (required ? [name] : [])) },
      ) as fc.Arbitrary<Record<string, string>>;
    const body = operation.requestBody?.content['application/json']?.schema;
    return fc.record({
      method: fc.constant(method),
      path: fc
        .tuple(values('path'), values('query'), rarely(anyText))
        .map(([params, query, extra]) =>
          urlOf(path, params, { ...query, ...(extra === undefined ? {} : { [extra]: extra }) }),
        ),
      headers: values('header').map(headersOf),
      body:
        body === undefined
          ? fc.constant(undefined)
          : bodyOf(document, body, { known, right: known.bodies[`${method} ${path}`] ?? [{}] }),
    });
  });
}

function bodyOf(
  document: OpenApi,
  wanted: unknown,
  { known, right }: { readonly known: Known; readonly right: readonly object[] },
): fc.Arbitrary<string | undefined> {
  const any = valueOf(document, wanted, known);
  const changed = fc
    .tuple(fc.constantFrom(...right), any, fc.boolean())
    .map(([body, other, whole]) => (whole ? body : { ...body, ...oneOf(other) }));
  return fc.oneof(
    { weight: 13, arbitrary: changed.map((value) => JSON.stringify(value)) },
    { weight: 13, arbitrary: any.map((value) => JSON.stringify(value)) },
    { weight: 2, arbitrary: fc.json() },
    { weight: 1, arbitrary: anyText },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

/** One part of what is an object. */
const oneOf = (value: unknown): object =>
  typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).slice(0, 1)) : {};

const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 15, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

/** One in sixteen is of another kind altogether. */
function valueOf(document: OpenApi, wanted: unknown, known: Known): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 15, arbitrary: validOf(document, wanted, known) }, { weight: 1, arbitrary: junk });
}

function validOf(document: OpenApi, wanted: unknown, known: Known): fc.Arbitrary<unknown> {
  const {
    $ref,
    type,
    enum: choices,
    anyOf,
    properties,
    required = [],
    format,
    minimum,
    maximum,
  } = schema.parse(wanted);
  if ($ref !== undefined) return validOf(document, document.components.schemas[$ref.split('/').at(-1) ?? ''], known);
  if (choices) return fc.constantFrom(...choices);
  if (anyOf) return fc.oneof(...anyOf.map((one) => validOf(document, one, known)));
  if (properties) {
    const values = Object.entries(properties).map(([name, one]) => [name, named(name, document, one, known)] as const);
    // Few of the optional ones at a time: else hardly any request is right in all of them.
    return fc
      .subarray(Object.keys(properties), { maxLength: Math.min(Object.keys(properties).length, required.length + 3) })
      .chain((some) =>
        fc.record(Object.fromEntries(values.filter(([name]) => required.includes(name) || some.includes(name)))),
      );
  }
  if (type === 'integer') return fc.integer({ min: minimum ?? -10, max: Math.min(maximum ?? 1_000, 1_000) });
  if (type === 'boolean') return fc.boolean();
  if (type === 'null') return fc.constant(null);
  if (type === 'string' && format === 'uuid') return fc.oneof(fc.constantFrom(...known.ids), fc.uuid());
  if (type === 'string') return fc.oneof(fc.constantFrom(...known.words), fc.string({ minLength: 1 }), anyText);
  return junk;
}

function named(name: string, document: OpenApi, wanted: unknown, known: Known): fc.Arbitrary<unknown> {
  const right = known.named[name];
  const any = valueOf(document, wanted, known);
  return right ? fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: any }) : any;
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));

function urlOf(path: string, params: Record<string, string>, query: Record<string, string>): string {
  const filled = path.replaceAll(
    /\{(\w+)\}/g,
    (_, name: string) => encodeURIComponent((params[name] ?? '').toWellFormed()) || '%20',
  );
  const search = new URLSearchParams(query).toString();
  return search === '' ? filled : `${filled}?${search}`;
}

/** What can be sent in a header at all. */
function headersOf(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, value.replaceAll(/[^\x20-\x7e]/g, '')]),
  );
}
