/** Schemas that several resources share. Schemas are the one source of validation, types and the OpenAPI document. */
import { z } from 'zod';
import { problem } from './problem.ts';

/** A string of 1 to `max` characters without U+0000, which Postgres does not accept in text. */
export const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\u0000]*$/, 'expected no U+0000'); // oxlint-disable-line no-control-regex

/**
 * Any uuid that Postgres accepts, because rows of other programs may have ids without a version. The id is converted to
 * lower case, as Postgres writes it.
 */
export const id = z.guid().toLowerCase();
export const idParams = z.strictObject({ id });
export const nullableText = z.string().nullable();
/** A time in ISO 8601, UTC, or null. */
export const time = z.string().meta({ format: 'date-time' }).nullable();

/**
 * Returns the schema of a query string. A request with an unknown parameter is refused, and the problem names the known
 * ones. If the parameter were ignored, the response would not be what the caller asked for.
 */
export const query = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: ({ code, keys }) =>
      code === 'unrecognized_keys'
        ? `unknown parameter ${keys.map((key) => JSON.stringify(key.slice(0, 40))).join(', ')}; known: ${Object.keys(shape).join(', ') || 'none'}`
        : undefined,
  });

/**
 * The query of paths that load balancers and scrapers request. It accepts any parameter, because such programs append
 * parameters of their own.
 */
export const anyQuery = z.looseObject({});

const MAX_LIMIT = 100;
const DEFAULT_LIMIT = 20;
/** Returns the schema of the parameter `limit`. `standard` is its default. */
export const pageLimit = (standard: number) => z.coerce.number().int().min(1).max(MAX_LIMIT).default(standard);
/** The query of every list that is read in pages. */
export const pageQuery = {
  limit: pageLimit(DEFAULT_LIMIT),
  cursor: text(200).optional().describe('next_cursor of the previous page.'),
};
/** Returns the schema of one page of a list. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next_cursor: nullableText.describe('Null if this is the last page.') });

/** Returns the schema of a response that is a problem document. */
export const problemDocument = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problem } },
});

/** The problems that every route may respond with, for the route's `response`. */
const anywhere = {
  400: problemDocument('The request does not match the schema, or a value in it is not valid.'),
  401: problemDocument('No token, or a wrong one.'),
  403: problemDocument('Host or Origin is no name of the backend.'),
  429: problemDocument('Too many requests without the right token; see Retry-After.'),
  500: problemDocument('A bug in the backend.'),
  503: problemDocument('Postgres or Temporal is unavailable; the same request may succeed later.'),
};

const sometimes = {
  missing: { 404: problemDocument('The resource does not exist.') },
  conflict: {
    409: problemDocument(
      'The Idempotency-Key came with another request before, the state of the task or of its session does not allow it, or the change is decided or does not merge.',
    ),
  },
  body: { 413: problemDocument('The body is too large.'), 415: problemDocument('The body is not JSON.') },
  refused: { 422: problemDocument('The request is well formed, but cannot be carried out now.') },
};

/** Returns the schemas of the problems that every route may respond with, and of the given ones. */
export function problems(...kinds: (keyof typeof sometimes)[]): Record<number, ReturnType<typeof problemDocument>> {
  return kinds.reduce((all, kind) => ({ ...all, ...sometimes[kind] }), anywhere);
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/**
 * Returns the object without keys whose value is undefined, because our optional properties are absent, never
 * undefined.
 */
export function definedOf<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Defined<T>;
}
