/** Checks that a Temporal server serves our namespace and has our search attributes. */
import type { Connection, ConnectionOptions } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../../contract/names.ts';
import { LonghaulError, messageOf } from '../../contract/errors.ts';

const CALL_MS = 5_000;

export interface TemporalTarget {
  readonly namespace: string;
  /** Address, TLS settings and API key of the server. */
  readonly connection: ConnectionOptions;
}

/**
 * Checks the server, the namespace and the search attributes, and adds missing attributes. The check can be repeated.
 * It fails with an error that names what is missing. One call returns within seconds, so a caller that waits for a
 * starting server calls again.
 */
export async function checkTemporal(target: TemporalTarget): Promise<void> {
  // The client is loaded only here, because loading it takes several times as long as Node takes to start.
  const { Connection } = await import('@temporalio/client');
  // The client must not retry, because closing a connection while a call is retried ends the process.
  const connection = await Connection.connect({
    ...target.connection,
    interceptors: [],
    connectTimeout: CALL_MS,
    channelArgs: { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500 },
  });
  try {
    await connection.withDeadline(Date.now() + CALL_MS, async () => {
      await connection.workflowService.describeNamespace({ namespace: target.namespace });
      await registerSearchAttributes(connection, target.namespace);
    });
  } finally {
    await connection.close();
  }
}

async function registerSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const { operatorService } = connection;
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const missing = Object.values(SEARCH_ATTRIBUTES).filter((name) => !Object.hasOwn(customAttributes, name));
  if (missing.length === 0) return;
  const { default: proto } = await import('@temporalio/proto');
  const keyword = proto.temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD;
  const searchAttributes = Object.fromEntries(missing.map((name) => [name, keyword]));
  try {
    await operatorService.addSearchAttributes({ namespace, searchAttributes });
  } catch (error) {
    throw new LonghaulError(
      'service_unreachable',
      `The Temporal namespace ${namespace} has no search attributes ${missing.join(', ')} (type Keyword) and does not let us add them: ${messageOf(error)}. Add them with \`temporal operator search-attribute create\`.`,
      { cause: error },
    );
  }
}
