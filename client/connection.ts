/** The connections of a backend or a command: to the database and to Temporal, and the hub of followers. */
import type { Client } from '@temporalio/client';
import { type Delivery, FrameHub } from '../frames/follow.ts';
import { connect, type Sql } from '../store/sql.ts';
import { connectTemporal, type TemporalLink, type TemporalTarget } from './temporal.ts';

export type { Delivery };

export interface Longhaul {
  readonly sql: Sql;
  readonly temporal: Client;
  readonly namespace: string;
  /** Of Temporal's Web UI. */
  readonly temporalUiUrl?: string;
  /** How long Temporal keeps histories of tasks that have ended; absent: not known. */
  readonly historyRetentionDays?: number;
  readonly frames: FrameHub;
  close(): Promise<void>;
}

export interface LonghaulPlaces {
  readonly databaseUrl: string;
  readonly temporal: TemporalTarget;
  readonly temporalUiUrl?: string;
  /** How long Temporal keeps histories of tasks that have ended; absent: not known. */
  readonly historyRetentionDays?: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Connections to Postgres at most, besides the listening one. */
  readonly connections?: number;
}

/** Connects on first use: nothing fails here, and each connection recovers after an outage. */
export function openLonghaul(places: LonghaulPlaces): Longhaul {
  const sql = connect(places.databaseUrl, {
    applicationName: places.applicationName,
    ...(places.connections === undefined ? {} : { max: places.connections }),
  });
  let link: TemporalLink | undefined;
  const frames = new FrameHub(sql);
  return {
    sql,
    get temporal() {
      link ??= connectTemporal(places.temporal);
      return link.client;
    },
    namespace: places.temporal.namespace,
    ...(places.temporalUiUrl === undefined ? {} : { temporalUiUrl: places.temporalUiUrl }),
    ...(places.historyRetentionDays === undefined ? {} : { historyRetentionDays: places.historyRetentionDays }),
    frames,
    async close() {
      await frames.close();
      await Promise.all([link?.close(), sql.end({ timeout: 1 })]);
    },
  };
}
