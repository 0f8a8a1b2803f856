/** Generates the OpenAPI document from the schemas of the routes alone. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { packageVersion } from '../processes/package-version.ts';

/** zod gives each whole number the range of JavaScript's safe integers. The document leaves this range out. */
const zodToJsonConfig = {
  override: ({ jsonSchema }: { jsonSchema: { minimum?: number; maximum?: number } }) => {
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  },
};
const withComponents = createJsonSchemaTransformObject({ zodToJsonConfig });

export const openapiOptions: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Longhaul',
      version: packageVersion(),
      description:
        'Durable coding-agent tasks. Every path below needs the token, unless it says otherwise. Errors are problem documents (RFC 9457), on any path: also 404, 405, 408 and 431.',
    },
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  },
  transform: createJsonSchemaTransform({ zodToJsonConfig }),
  transformObject: (document) => withUsedComponents(withOptionalBodies(withComponents(document))),
};

/**
 * The plugin declares every body as required. A body that may be null may also be absent, so the document declares it
 * as optional.
 */
function withOptionalBodies<Document extends object>(document: Document): Document {
  const { paths } = document as Document & { paths?: Record<string, Record<string, Operation>> };
  for (const { requestBody } of Object.values(paths ?? {}).flatMap((methods) => Object.values(methods))) {
    const { schema } = requestBody?.content?.['application/json'] ?? {};
    if (requestBody && schema?.anyOf?.some(({ type }) => type === 'null')) requestBody.required = false;
  }
  return document;
}

interface Operation {
  readonly requestBody?: {
    required?: boolean;
    readonly content?: Record<string, { readonly schema?: { readonly anyOf?: readonly { readonly type?: string }[] } }>;
  };
}

/**
 * The plugin makes two components of each named schema: for requests and for responses. The document leaves out those
 * that nothing refers to.
 */
function withUsedComponents<Document extends object>(document: Document): Document {
  const { components, ...rest } = document as Document & { components?: { schemas?: Record<string, unknown> } };
  const used = new Set<string>();
  const look = (value: unknown): void => {
    for (const [, name] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (name === undefined || used.has(name)) continue;
      used.add(name);
      look(components?.schemas?.[name] ?? {});
    }
  };
  look(rest);
  const schemas = Object.fromEntries(Object.entries(components?.schemas ?? {}).filter(([name]) => used.has(name)));
  return { ...document, components: { ...components, schemas } };
}
