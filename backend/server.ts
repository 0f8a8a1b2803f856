/** The HTTP face, put together. What a resource says and takes is in its file of routes/. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import swagger from '@fastify/swagger';
import { fastify, type FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'; // prettier-ignore
import type { Logger } from 'pino';
import type { Intake } from '../client/intake.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { type AccessOptions, makeAccess } from './access.ts';
import type { RouteDeps } from './deps.ts';
import { handleError, sendProblem } from './problem.ts';
import { healthRoutes } from './routes/health.ts';
import { taskRoutes } from './routes/tasks.ts';

/** Far more than the longest input takes, escaped or in any script. */
const BODY_LIMIT_BYTES = 8 * 1024 * 1024;
/** A Postgres that hangs answers nobody; whoever asked hears so after this long. */
const HANDLER_TIMEOUT_MS = 10_000;

export interface ServerOptions extends RouteDeps {
  readonly intake: Pick<Intake, 'trouble'>;
  readonly access: AccessOptions;
  readonly log: Logger;
}

export function makeServer(options: ServerOptions): FastifyInstance {
  const server = fastify({
    loggerInstance: options.log.child({}, { level: 'warn' }),
    forceCloseConnections: true,
    bodyLimit: BODY_LIMIT_BYTES,
    handlerTimeout: HANDLER_TIMEOUT_MS,
    genReqId: requestId,
  }) as unknown as FastifyInstance;
  server.setValidatorCompiler(validatorCompiler);
  // What is sent is held to its schema by types and tests, not again each time: a row of an adopted table that is not as
  // expected is shown as it is, not answered with a fault.
  server.setSerializerCompiler(() => (data) => JSON.stringify(data));
  server.setErrorHandler(handleError);
  server.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new LonghaulError('route_not_found', `There is no ${request.method} ${pathOf(request.url)}.`)),
  );
  server.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    done();
  });
  server.addHook('onRequest', makeAccess(options.access));
  server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Longhaul', version: '0.1.0' },
      security: [{ token: [] }],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
  healthRoutes(server, options);
  server.register(
    (plain, _options, done) => {
      const api = plain.withTypeProvider<ZodTypeProvider>();
      api.get('/openapi.json', { schema: { hide: true } }, () => server.swagger());
      taskRoutes(api, options);
      done();
    },
    { prefix: '/api' },
  );
  return server;
}

/** The caller's own, if it is one that can stand in a log. */
function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
}

/** Without what may hold secrets of somebody who put them there. */
const pathOf = (url: string): string => url.split('?', 1)[0] ?? url;
