/** A client's connection to Temporal: made without waiting, it survives outages and reports them quickly. */
import { createRequire } from 'node:module';
import type { Client, Connection, ConnectionOptions } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../contract/names.ts';
import { LonghaulError, messageOf } from '../contract/errors.ts';

/**
 * Temporal's client, loaded on first use: that takes four times as long as Node itself takes to start, and most commands
 * only need Postgres.
 */
const temporalClient = (): typeof import('@temporalio/client') =>
  createRequire(import.meta.url)('@temporalio/client') as typeof import('@temporalio/client');

export interface TemporalTarget {
  readonly namespace: string;
  /** Address, TLS, API key. */
  readonly connection: ConnectionOptions;
}

export interface TemporalLink {
  readonly client: Client;
  close(): Promise<void>;
}

/**
 * Dials on first use. Calls are not retried here: the caller decides, and closing a connection during a retry
 * would end the process. The backoff between dials grows to a minute by default.
 */
export function connectTemporal({ namespace, connection: options }: TemporalTarget): TemporalLink {
  const { Client, Connection } = temporalClient();
  const connection = Connection.lazy({
    ...options,
    interceptors: [],
    channelArgs: {
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 1_000,
      ...options.channelArgs,
    },
  });
  return { client: new Client({ connection, namespace }), close: () => connection.close() };
}

// gRPC status codes: https://grpc.io/docs/guides/status-codes/
const CANCELLED = 1;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;
const UNAVAILABLE_CODES: readonly (number | undefined)[] = [
  CANCELLED,
  DEADLINE_EXCEEDED,
  RESOURCE_EXHAUSTED,
  UNAVAILABLE,
];

function grpcCode(error: unknown): number | undefined {
  const { ServiceError, isGrpcServiceError } = temporalClient();
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) ? cause.code : undefined;
}

/** temporal.api.enums.v1.TaskQueueType */
const QUEUE_TYPES = { workflow: 1, activity: 2 } as const;

/** Whether the server is unavailable or overloaded: the call may have had its effect, and may succeed later. */
export const isTemporalUnavailable = (error: unknown): boolean => UNAVAILABLE_CODES.includes(grpcCode(error));

/** Whether the run does not exist in Temporal, or is closed and the call needs an open one. */
export const isRunMissing = (error: unknown): boolean => error instanceof temporalClient().WorkflowNotFoundError;

/** Whether a run of that workflow id exists, so that no other was started. */
export const isRunAlreadyStarted = (error: unknown): boolean =>
  error instanceof temporalClient().WorkflowExecutionAlreadyStartedError;

/** Whether the server would refuse the same call again. */
export const isRefusedByTemporal = (error: unknown): boolean => grpcCode(error) === INVALID_ARGUMENT;

/** gRPC's message of a failed call for users: without codes and name resolution. */
export function readableGrpcMessage(text: string): string {
  return text
    .replace(/\d+ DEADLINE_EXCEEDED: .*/, 'no answer in time')
    .replace(/No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note:.*/, (_, last: string) =>
      last === 'null' ? 'no connection' : last,
    )
    .replace(/\d+ [A-Z]+(?:_[A-Z]+)*: /, '');
}

/** Fails within `withinMs` with `service_unreachable` if the namespace cannot be reached. */
export async function probeTemporal(client: Client, withinMs: number): Promise<void> {
  const { namespace } = client.options;
  try {
    await client.withDeadline(Date.now() + withinMs, () => client.workflowService.describeNamespace({ namespace }));
  } catch (error) {
    const why = readableGrpcMessage(messageOf(error));
    throw new LonghaulError('service_unreachable', `Temporal's namespace ${namespace} does not respond: ${why}`, {
      cause: error,
    });
  }
}

const ASK_MS = 3_000;

/** Our search attributes that the namespace does not have. */
export async function missingSearchAttributes(client: Client): Promise<string[]> {
  const { namespace } = client.options;
  const { operatorService } = client.connection as Connection;
  const { customAttributes } = await client.withDeadline(Date.now() + ASK_MS, () =>
    operatorService.listSearchAttributes({ namespace }),
  );
  return Object.values(SEARCH_ATTRIBUTES).filter((name) => !Object.hasOwn(customAttributes ?? {}, name));
}

export interface Poller {
  /** The worker's identity. */
  readonly identity: string;
  /** Its last poll. */
  readonly at: Date;
}

/** The workers that polled a task queue in the last minutes. */
export async function pollersOf(
  client: Client,
  taskQueue: string,
  type: keyof typeof QUEUE_TYPES,
): Promise<readonly Poller[]> {
  const { namespace } = client.options;
  const { pollers } = await client.withDeadline(Date.now() + ASK_MS, () =>
    client.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: taskQueue },
      taskQueueType: QUEUE_TYPES[type],
    }),
  );
  return (pollers ?? []).map(({ identity, lastAccessTime: at }) => ({
    identity: identity ?? '',
    at: new Date(Number(at?.seconds ?? 0) * 1000),
  }));
}
