/** The metrics route, which Prometheus scrapes. */
import { z } from 'zod';
import type { Api } from '../deps.ts';
import type { BackendMetrics } from '../metrics.ts';
import { anyQuery, problems } from '../schemas.ts';

export interface MetricsDeps {
  readonly metrics: BackendMetrics;
  /** True if the route needs no token, because only this machine can connect and the metrics are only counts. */
  readonly open: boolean;
}

export function metricsRoute(api: Api, { metrics, open }: MetricsDeps): void {
  const schema = {
    operationId: 'getMetrics',
    summary: "Metrics in Prometheus' text format",
    tags: ['service'],
    querystring: anyQuery,
    ...(open ? { security: [] } : {}),
    response: {
      200: { description: 'One metric a line.', content: { 'text/plain': { schema: z.string() } } },
      ...problems(),
    },
  };
  const config = { open };
  api.get('/metrics', { config, schema }, async (_request, reply) => {
    const text = await metrics.text();
    return reply
      .type(metrics.registry.contentType)
      .serializer(() => text)
      .send(text);
  });
}
