/**
 * Opens the connections of a backend or of a command to Postgres and to Temporal, and creates the hub that delivers
 * frames to followers.
 */
import type { Client } from '@temporalio/client';
import { type Delivery, FrameHub } from '../frames/follow.ts';
import { connect, type Sql } from '../store/sql.ts';
import { connectTemporal, type TemporalLink, type TemporalTarget } from './temporal.ts';

export type { Delivery };

export interface Longhaul {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly namespace: string;
  /** The URL of Temporal's Web UI. */
  readonly temporalUiUrl?: string;
  /** The number of days that Temporal keeps the history of a run that has ended. Absent if it is not known. */
  readonly historyRetentionDays?: number;
  readonly frames: FrameHub;
  close(): Promise<void>;
}

/** The options of `openLonghaul`: the servers to connect to, and how to connect. */
export interface LonghaulOptions {
  readonly databaseUrl: string;
  readonly temporal: TemporalTarget;
  readonly temporalUiUrl?: string;
  /** The number of days that Temporal keeps the history of a run that has ended. Absent if it is not known. */
  readonly historyRetentionDays?: number;
  /** The name of these connections in Postgres' view pg_stat_activity. */
  readonly applicationName: string;
  /** The maximum number of Postgres connections, not counting the connection that listens for notifications. */
  readonly connections?: number;
}

/**
 * Creates the connections, but makes each of them only at its first use, so this call cannot fail. Each connection
 * recovers after an outage.
 */
export function openLonghaul(options: LonghaulOptions): Longhaul {
  const sql = connect(options.databaseUrl, {
    applicationName: options.applicationName,
    ...(options.connections === undefined ? {} : { max: options.connections }),
  });
  let link: TemporalLink | undefined;
  const frames = new FrameHub(sql);
  return {
    sql,
    get temporal() {
      link ??= connectTemporal(options.temporal);
      return link.client;
    },
    namespace: options.temporal.namespace,
    ...(options.temporalUiUrl === undefined ? {} : { temporalUiUrl: options.temporalUiUrl }),
    ...(options.historyRetentionDays === undefined ? {} : { historyRetentionDays: options.historyRetentionDays }),
    frames,
    async close() {
      await frames.close();
      await Promise.all([link?.close(), sql.end({ timeout: 1 })]);
    },
  };
}
