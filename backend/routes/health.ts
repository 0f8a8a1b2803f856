/** Whether the process runs and can do its work: for supervisors, load balancers, people. */
import type { FastifyInstance } from 'fastify';
import type { Longhaul } from '../../client/connection.ts';
import { checkHealth } from '../../client/health.ts';
import type { Intake } from '../../client/intake.ts';

export interface HealthDeps {
  readonly longhaul: Longhaul;
  readonly intake: Pick<Intake, 'trouble'>;
}

export function healthRoutes(server: FastifyInstance, { longhaul, intake }: HealthDeps): void {
  /** The process runs and answers. */
  server.get('/healthz', { config: { open: true } }, () => ({ status: 'ok' }));

  /** It can do its work: each part by itself, 503 if one cannot. */
  server.get('/readyz', { config: { open: true } }, async (_request, reply) => {
    const trouble = intake.trouble();
    const parts = {
      ...(await checkHealth(longhaul)),
      intake: trouble === undefined ? { ok: true } : { ok: false, detail: trouble },
    };
    const ready = Object.values(parts).every((part) => part.ok);
    return reply.code(ready ? 200 : 503).send({ ready, parts });
  });
}
