/** Sets up Temporal's core in the worker: its connection, its log lines and its metrics. */
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

/**
 * Installs the runtime of Temporal's core. Returns the address where the core serves its metrics, or undefined if it
 * found no port.
 */
export async function installRuntime(log: Logger): Promise<string | undefined> {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  const options = {
    // The core handles no signals, because `stopOnSignals` does: a stop must end the turns first.
    shutdownSignals: [],
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      // `Workflow failed` is logged as debug, because a run fails whenever its task does and the finish step writes a
      // line about that. A bug of Longhaul fails a workflow task instead.
      const shown = message === 'Workflow failed' ? 'debug' : levels[level];
      log[shown]({ ...meta }, message);
    }),
  };
  // With this filter the core also logs errors of its client. Without it, a worker that lost its server would write no
  // log line.
  const logging = { forward: {}, filter: 'WARN,temporalio_client=ERROR' };
  const bindAddress = `127.0.0.1:${await freePort()}`;
  try {
    const prometheus = { bindAddress, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };
    Runtime.install({
      ...options,
      telemetryOptions: {
        logging,
        // The label tells the metrics of two workers of a host apart, because they are exported as one text.
        metrics: {
          globalTags: { worker: String(process.pid) },
          prometheus: { ...prometheus, histogramBucketOverrides: HISTOGRAM_BUCKETS },
        },
      },
    });
    return bindAddress;
  } catch (error) {
    // Another process has taken the port since `freePort`. The worker runs without metrics, because tasks matter more.
    log.warn({ err: error }, 'the worker runs without metrics');
    Runtime.install({ ...options, telemetryOptions: { logging } });
    return undefined;
  }
}
