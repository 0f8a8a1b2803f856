/** The worker's side of Temporal's core: its connection, its log lines and its metrics. */
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import { HISTOGRAM_BUCKETS } from '../activities/step-metrics.ts';
import type { TemporalTarget } from '../client/temporal.ts';
import { freePort } from '../services/supervisor/ports.ts';
import { LonghaulError, messageOf } from '../contract/errors.ts';

export async function connectNative({
  connection: { address, tls, apiKey, metadata },
}: TemporalTarget): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect({
      ...(address === undefined ? {} : { address }),
      ...(tls ? { tls } : {}),
      ...(typeof apiKey === 'string' ? { apiKey } : {}),
      ...(metadata ? { metadata } : {}),
    });
  } catch (error) {
    const why = messageOf(error);
    throw new LonghaulError('service_unreachable', `The worker cannot connect to Temporal at ${address}: ${why}`, {
      cause: error,
    });
  }
}

/** Returns the address where the core serves its metrics; undefined: it found no port. */
export async function installRuntime(log: Logger): Promise<string | undefined> {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  const options = {
    // `stopOnSignals` handles signals: a stop begins with the turns.
    shutdownSignals: [],
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      // A run fails if its task does, and a line of the finish step says so. Our own bugs fail workflow tasks instead.
      const shown = message === 'Workflow failed' ? 'debug' : levels[level];
      log[shown]({ ...meta }, message);
    }),
  };
  // Without this filter a worker that lost its server writes no log line.
  const logging = { forward: {}, filter: 'WARN,temporalio_client=ERROR' };
  const bindAddress = `127.0.0.1:${await freePort()}`;
  try {
    const prometheus = { bindAddress, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };
    Runtime.install({
      ...options,
      telemetryOptions: {
        logging,
        // The metrics of two workers of a host are exported as one text.
        metrics: {
          globalTags: { worker: String(process.pid) },
          prometheus: { ...prometheus, histogramBucketOverrides: HISTOGRAM_BUCKETS },
        },
      },
    });
    return bindAddress;
  } catch (error) {
    // Another process has taken the port since: tasks matter more than metrics.
    log.warn({ err: error }, 'the worker runs without metrics');
    Runtime.install({ ...options, telemetryOptions: { logging } });
    return undefined;
  }
}
