/** The backend's metrics in Prometheus' format, with those of the workers. */
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { sharedMetrics } from '../client/metrics.ts';
import type { Longhaul } from '../client/connection.ts';
import type { Intake } from '../client/intake.ts';

/**
 * How long a scrape waits for the database. If the database does not respond in time, the response lacks the database's
 * metrics.
 */
const DATABASE_MS = 1_500;
const LAG_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const REQUEST_BUCKETS_S = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface BackendMetrics {
  readonly registry: Registry;
  /** The number of open WebSockets. */
  readonly sockets: Gauge;
  /** Seconds from a frame's `at` until the frame is handed to a socket. */
  readonly frameLag: Histogram;
  readonly requests: Histogram<'method' | 'route' | 'status'>;
  /** Returns all metrics as text. */
  text(): Promise<string>;
}

export interface MetricsSources {
  readonly longhaul: Pick<Longhaul, 'sql'>;
  readonly intake: Pick<Intake, 'trouble'>;
}

export function makeMetrics({ longhaul, intake }: MetricsSources): BackendMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const tasks = new Gauge({ name: 'longhaul_tasks', help: 'Tasks by state.', labelNames: ['state'], registers });
  const oldest = new Gauge({
    name: 'longhaul_oldest_pending_task_seconds',
    help: 'Age of the oldest pending task; 0 if none waits.',
    registers,
  });
  const postgres = new Gauge({
    name: 'longhaul_postgres_up',
    help: '1 if Postgres responded to this scrape.',
    registers,
  });
  const intakeUp = new Gauge({ name: 'longhaul_intake_up', help: '1 if intake can start tasks.', registers }); // prettier-ignore
  const sockets = new Gauge({ name: 'longhaul_sockets', help: 'WebSockets that are open.', registers });
  const frameLag = new Histogram({
    name: 'longhaul_frame_lag_seconds',
    help: 'Seconds from the writing of a frame until it is handed to a socket.',
    buckets: LAG_BUCKETS_S,
    registers,
  });
  const requests = new Histogram({
    name: 'longhaul_http_request_seconds',
    help: 'Duration of requests in seconds.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: REQUEST_BUCKETS_S,
    registers,
  });

  const text = async (): Promise<string> => {
    const shared = await within(DATABASE_MS, sharedMetrics(longhaul));
    postgres.set(shared ? 1 : 0);
    intakeUp.set(intake.trouble() === undefined ? 1 : 0);
    tasks.reset();
    oldest.remove();
    for (const { state, count } of shared?.tasks.states ?? []) tasks.set({ state: state ?? 'none' }, count);
    if (shared) oldest.set(shared.tasks.oldestPendingS);
    return [await registry.metrics(), shared?.workers ?? ''].join('\n');
  };
  return { registry, sockets, frameLag, requests, text };
}

/** Returns undefined if the work fails or takes longer than `ms`. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return Promise.race([work.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}
