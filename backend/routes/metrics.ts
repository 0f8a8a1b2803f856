/** For Prometheus. */
import type { FastifyInstance } from 'fastify';
import type { BackendMetrics } from '../metrics.ts';

export interface MetricsDeps {
  readonly metrics: BackendMetrics;
  /** Answers without a token: counts only, and only where nobody but this machine gets to it. */
  readonly open: boolean;
}

export function metricsRoute(server: FastifyInstance, { metrics, open }: MetricsDeps): void {
  server.get('/metrics', { config: { open }, schema: { hide: true } }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.text()),
  );
}
