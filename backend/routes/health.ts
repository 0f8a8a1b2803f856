/** Reports whether the process runs and whether it can do its work, for supervisors, load balancers and users. */
import { z } from 'zod';
import type { Longhaul } from '../../client/connection.ts';
import { checkHealth } from '../../client/health.ts';
import type { Intake } from '../../client/intake.ts';
import type { Api } from '../deps.ts';
import { anyQuery, problemDocument, problems } from '../schemas.ts';

export interface HealthDeps {
  readonly longhaul: Longhaul;
  readonly intake: Pick<Intake, 'trouble'>;
}

const part = z.object({ ok: z.boolean(), detail: z.string().optional().describe('The failure, if `ok` is false.') });
const readiness = z
  .object({
    ready: z.boolean(),
    parts: z.object({ postgres: part, migrations: part, temporal: part, intake: part }),
  })
  .meta({ id: 'Readiness' });
const tags = ['service'];
const security: [] = [];
const { 401: _token, 429: _guesses, ...always } = problems();

export function healthRoutes(api: Api, { longhaul, intake }: HealthDeps): void {
  const alive = {
    operationId: 'getHealth',
    summary: 'Whether the process runs',
    tags,
    security,
    querystring: anyQuery,
    response: { 200: z.object({ status: z.literal('ok') }), ...always },
  };
  api.get('/healthz', { config: { open: true }, schema: alive }, () => ({ status: 'ok' as const }));

  const ready = {
    operationId: 'getReadiness',
    summary: 'Whether Postgres, the migrations, Temporal and intake are ready, each with the reason if not',
    tags,
    security,
    querystring: anyQuery,
    response: {
      ...always,
      200: readiness.describe('It can.'),
      503: {
        description: 'A check failed, with the reason in the body. Or a problem document, as for any other request.',
        content: { 'application/json': { schema: readiness }, ...problemDocument('').content },
      },
    },
  };
  api.get('/readyz', { config: { open: true }, schema: ready }, async (_request, reply) => {
    const trouble = intake.trouble();
    const parts = {
      ...(await checkHealth(longhaul)),
      intake: trouble === undefined ? { ok: true } : { ok: false, detail: trouble },
    };
    const isReady = Object.values(parts).every(({ ok }) => ok);
    return reply.code(isReady ? 200 : 503).send({ ready: isReady, parts });
  });
}
