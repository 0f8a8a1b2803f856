/** The HTTP face. So far it says how the process is. */
import { fastify, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Longhaul } from '../client/connection.ts';
import { checkHealth } from '../client/health.ts';
import type { Intake } from '../client/intake.ts';
import { acceptSockets, frameSockets } from './frames-socket.ts';

export interface ServerOptions {
  readonly longhaul: Longhaul;
  readonly intake: Pick<Intake, 'trouble'>;
  readonly log: Logger;
}

export function makeServer({ longhaul, intake, log }: ServerOptions): FastifyInstance {
  const server = fastify({
    loggerInstance: log.child({}, { level: 'warn' }),
    forceCloseConnections: true,
  }) as unknown as FastifyInstance;
  acceptSockets(server);

  /** The process runs and answers. */
  server.get('/healthz', () => ({ status: 'ok' }));

  /** It can do its work: each part by itself, 503 if one cannot. */
  server.get('/readyz', async (_request, reply) => {
    const trouble = intake.trouble();
    const parts = {
      ...(await checkHealth(longhaul)),
      intake: trouble === undefined ? { ok: true } : { ok: false, detail: trouble },
    };
    const ready = Object.values(parts).every((part) => part.ok);
    return reply.code(ready ? 200 : 503).send({ ready, parts });
  });

  void server.register(async (app) => frameSockets(app, { longhaul }), { prefix: '/api' });

  return server;
}
