/**
 * A client's connection to Temporal. It is created without waiting for the server, survives outages, and reports a
 * failed call quickly.
 */
import { createRequire } from 'node:module';
import type { Client, Connection, ConnectionOptions } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../contract/names.ts';
import { LonghaulError, messageOf } from '../contract/errors.ts';

/**
 * Loads Temporal's client at its first use. Loading takes four times as long as the start of Node, and most commands
 * need Postgres only.
 */
const temporalClient = (): typeof import('@temporalio/client') =>
  createRequire(import.meta.url)('@temporalio/client') as typeof import('@temporalio/client');

export interface TemporalTarget {
  readonly namespace: string;
  /** The server's address, its TLS settings and the API key. */
  readonly connection: ConnectionOptions;
}

export interface TemporalLink {
  readonly client: Client;
  close(): Promise<void>;
}

/**
 * Connects at the first call. Calls are not retried here: the caller decides about retries, and closing a connection
 * during a retry would end the process. The default backoff between connection attempts grows to a minute, so it is
 * limited here.
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

/**
 * Returns whether the call failed because the server is unavailable or overloaded. Such a call may have had its effect,
 * and a repetition may succeed.
 */
export const isTemporalUnavailable = (error: unknown): boolean => UNAVAILABLE_CODES.includes(grpcCode(error));

/** Returns whether Temporal does not know the run, or the run is closed although the call needs an open one. */
export const isRunMissing = (error: unknown): boolean => error instanceof temporalClient().WorkflowNotFoundError;

/** Returns whether a run with that workflow id exists already, so that the call started no other run. */
export const isRunAlreadyStarted = (error: unknown): boolean =>
  error instanceof temporalClient().WorkflowExecutionAlreadyStartedError;

/** Returns whether the server would also refuse a repetition of the same call. */
export const isRefusedByTemporal = (error: unknown): boolean => grpcCode(error) === INVALID_ARGUMENT;

/**
 * Converts gRPC's message of a failed call to text for users: it removes status codes and details of name resolution.
 */
export function readableGrpcMessage(text: string): string {
  return text
    .replace(/\d+ DEADLINE_EXCEEDED: .*/, 'no answer in time')
    .replace(/No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note:.*/, (_, last: string) =>
      last === 'null' ? 'no connection' : last,
    )
    .replace(/\d+ [A-Z]+(?:_[A-Z]+)*: /, '');
}

/** Fails with `service_unreachable` if the namespace does not respond within `withinMs`. */
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

/** Returns the names of Longhaul's search attributes that the namespace does not have. */
export async function missingSearchAttributes(client: Client): Promise<string[]> {
  const { namespace } = client.options;
  const { operatorService } = client.connection as Connection;
  const { customAttributes } = await client.withDeadline(Date.now() + ASK_MS, () =>
    operatorService.listSearchAttributes({ namespace }),
  );
  return Object.values(SEARCH_ATTRIBUTES).filter((name) => !Object.hasOwn(customAttributes ?? {}, name));
}

export interface Poller {
  /** The identity of the polling worker. */
  readonly identity: string;
  /** The time of its last poll. */
  readonly at: Date;
}

/** Returns the workers that polled the task queue in the last five minutes. */
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
