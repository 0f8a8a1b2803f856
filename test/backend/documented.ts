/** Holds answers to the OpenAPI document: a status that it does not name, or a body that is not as it says, fails the test. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { z } from 'zod';

const media = z.looseObject({ schema: z.unknown() });
const response = z.looseObject({ content: z.record(z.string(), media).optional() });
const parameter = z.looseObject({
  name: z.string(),
  in: z.enum(['path', 'query', 'header']),
  required: z.boolean().optional(),
  schema: z.unknown(),
});
export const operation = z.looseObject({
  summary: z.string(),
  parameters: z.array(parameter).default([]),
  operationId: z.string(),
  requestBody: z.looseObject({ content: z.record(z.string(), media), required: z.boolean().optional() }).optional(),
  responses: z.record(z.string(), response),
});
export const openapi = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
export type OpenApi = z.infer<typeof openapi>;

export interface Given {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly contentType: string;
  readonly body: unknown;
}

export class Documented {
  readonly document: OpenApi;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });
  readonly #validators = new Map<string, ValidateFunction>();
  /** `GET /api/tasks 200` and so on. */
  readonly seen = new Set<string>();

  constructor(document: unknown) {
    this.document = openapi.parse(document);
    this.#ajv.addSchema({ ...this.document, $id: 'openapi' }, 'openapi');
  }

  /** For what is below /api and on a path of the document. */
  check({ method, path, status, contentType, body }: Given): void {
    const known = Object.keys(this.document.paths).find((template) => matches(template, path.split('?', 1)[0] ?? ''));
    const found = known === undefined ? undefined : this.document.paths[known]?.[method.toLowerCase()];
    if (known === undefined || !found) return;
    const name = `${method} ${known} ${status}`;
    const type = contentType.split(';', 1)[0] ?? '';
    const content = found.responses[status]?.content;
    if (!content?.[type]) throw new Error(`${name} (${type}) is not in the document: ${JSON.stringify(body)}`);
    this.seen.add(name);
    const pointer = ['paths', known, method.toLowerCase(), 'responses', String(status), 'content', type, 'schema'];
    const $ref = `openapi#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
    const validate = this.#validators.get($ref) ?? this.#ajv.compile({ $ref });
    this.#validators.set($ref, validate);
    if (!validate(body)) throw new Error(`${name} is not as documented: ${this.#ajv.errorsText(validate.errors)}\n${JSON.stringify(body)}`); // prettier-ignore
  }
}

function matches(template: string, path: string): boolean {
  const wanted = template.split('/');
  const found = path.split('/');
  return wanted.length === found.length && wanted.every((part, index) => part.startsWith('{') || part === found[index]);
}
