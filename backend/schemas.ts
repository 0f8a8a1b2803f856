/** What several resources share. Schemas are the one source of validation, types and the OpenAPI document. */
import { z } from 'zod';
import { problem } from './problem.ts';

/** Postgres takes no U+0000 in text. */
export const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\u0000]*$/, 'expected no U+0000'); // oxlint-disable-line no-control-regex

/** Any uuid that Postgres takes: rows of other programs may have ids of no version. */
export const id = z.guid();
export const idParams = z.object({ id });
/** ISO 8601, UTC. */
export const time = z.string().meta({ format: 'date-time' }).nullable();

type Problems = 'invalid' | 'missing' | 'conflict' | 'refused';

const document = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problem } },
});

const OTHER = {
  invalid: [400, document('The request is not as expected.')],
  missing: [404, document('There is no such thing.')],
  conflict: [409, document('The Idempotency-Key came with another request before.')],
  refused: [422, document('The request is well formed; what it asks for cannot be done as things stand.')],
} as const;

/** The problems of a route, for its `response`: those of every route and these. */
export function problems(...kinds: Problems[]) {
  return {
    401: document('No token, or a wrong one.'),
    403: document('Host or Origin is not one that the backend goes by.'),
    429: document('Too many requests without the right token; see Retry-After.'),
    500: document('A fault of the backend.'),
    503: document('Postgres or Temporal is away; the same request may succeed later.'),
    ...Object.fromEntries(kinds.map((kind) => OTHER[kind])),
  };
}
