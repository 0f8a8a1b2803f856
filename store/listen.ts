/**
 * Listens for notifications with a connection that has no other use. The driver's own `listen` stops permanently if it
 * cannot reconnect at once, which happens at every restart of Postgres. This listener reconnects until it is closed.
 *
 * Not covered: notifications that were sent while the connection was down. `onListening` is called after each
 * (re)connect, and the caller must then read its tables.
 */
import { setTimeout as delay } from 'node:timers/promises';
import postgres from 'postgres';
import type { Sql } from './sql.ts';
import { deferred, unlessAborted } from '../contract/promises.ts';

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1_000;

export interface ListenOptions {
  readonly channels: readonly string[];
  onNotify(channel: string, payload: string): void;
  /** Called when the connection listens (again). Notifications may have been missed before. */
  onListening(): void;
}

export interface Listener {
  /** Resolves when the connection listens for the first time, or when the listener is closed before. Never rejects. */
  readonly listening: Promise<void>;
  close(): Promise<void>;
}

/** Opens a connection of its own with the settings of `sql`, and listens on it. */
export function listen(sql: Sql, options: ListenOptions): Listener {
  const closed = new AbortController();
  const { promise: listening, resolve: first } = deferred();
  let lost = deferred();
  const connection = connectionLike(sql, options, () => lost.resolve());
  const statement = options.channels.map((channel) => `LISTEN "${channel.replaceAll('"', '""')}"`).join('; ');

  const run = async (): Promise<void> => {
    for (let failures = 0; !closed.signal.aborted; failures += 1) {
      lost = deferred();
      try {
        await connection.unsafe(statement).simple();
        failures = 0;
        first();
        options.onListening();
        await unlessAborted(lost.promise, closed.signal);
      } catch {
        // Postgres is unavailable. The error is ignored here, because the queries that read the tables report it.
      }
      await delay(Math.min(RETRY_FIRST_MS * 2 ** failures, RETRY_MAX_MS), undefined, { signal: closed.signal }).catch(
        () => undefined,
      );
    }
  };
  const ended = run();

  return {
    listening,
    async close() {
      closed.abort();
      first();
      await connection.end({ timeout: 0 });
      await ended;
    },
  };
}

function connectionLike(sql: Sql, options: ListenOptions, onclose: () => void): postgres.Sql {
  // The driver accepts parsed options unchanged, and passes notifications to `onnotify`; its own `listen` uses both.
  // The driver's types declare neither.
  const settings = {
    ...sql.options,
    max: 1,
    idle_timeout: null,
    max_lifetime: null,
    fetch_types: false,
    shared: { retries: 0, typeArrayMap: {} },
    onclose,
    onnotify: (channel: string, payload: string) => options.onNotify(channel, payload),
  };
  return postgres(settings as unknown as postgres.Options<Record<string, postgres.PostgresType>>);
}
