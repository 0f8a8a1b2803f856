/** The dependencies of routes, and the server's type for them. */
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Longhaul } from '../client/connection.ts';
import type { BackendMetrics } from './metrics.ts';

export interface RouteDeps {
  readonly longhaul: Longhaul;
  /** Folders that contain all projects. If the list is empty, a project may be anywhere. */
  readonly projectRoots: readonly string[];
  readonly metrics: BackendMetrics;
}

/** The server for routes with schemas: handlers get requests, and return responses, of the schemas' types. */
export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;
