/** The dependencies of routes, and the server's type for them. */
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Longhaul } from '../client/connection.ts';
import type { BackendMetrics } from './metrics.ts';

export interface RouteDeps {
  readonly longhaul: Longhaul;
  /** Folders that projects must lie under; none: anywhere. */
  readonly projectRoots: readonly string[];
  readonly metrics: BackendMetrics;
}

/** Routes with schemas: their requests and responses have the schemas' types. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;
