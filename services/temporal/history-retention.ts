/** Sets how long the embedded Temporal keeps the histories of ended tasks. The default of `start-dev` is one day. */
import { LonghaulError, messageOf } from '../../contract/errors.ts';

const DAY_SECONDS = 86_400;
const CALL_MS = 5_000;

/**
 * Sets the retention, also in an existing home. Histories of tasks that ended before keep the retention of that time.
 */
export async function setHistoryRetention(where: { address: string; namespace: string; days: number }): Promise<void> {
  const { address, namespace, days } = where;
  // The client is loaded only here, because loading it takes several times as long as Node takes to start.
  const { Connection } = await import('@temporalio/client');
  const connection = await Connection.connect({ address, interceptors: [], connectTimeout: CALL_MS });
  try {
    await connection.withDeadline(Date.now() + CALL_MS, async () => {
      const { workflowService } = connection;
      const { config } = await workflowService.describeNamespace({ namespace });
      const ttl = config?.workflowExecutionRetentionTtl?.seconds;
      if (Number(ttl ?? 0) === days * DAY_SECONDS) return;
      await workflowService.updateNamespace({
        namespace,
        config: { workflowExecutionRetentionTtl: { seconds: days * DAY_SECONDS } as never },
      });
    });
  } catch (error) {
    const why = messageOf(error);
    throw new LonghaulError('service_unreachable', `Temporal at ${address} does not accept the retention: ${why}`, {
      cause: error,
    });
  } finally {
    await connection.close();
  }
}
