/** Opens the connection to Postgres, with the types that the tables use. */
import postgres from 'postgres';
import { LonghaulError } from '../contract/errors.ts';

export type Sql = postgres.Sql<{ bigint: number }>;
export type Tx = postgres.TransactionSql<{ bigint: number }>;
/** A connection or a transaction, for a query that may run inside the caller's transaction. */
export type Db = Sql | Tx;

export interface ConnectOptions {
  /** The maximum number of connections. */
  readonly max?: number;
  /** The name of the connections in Postgres' view pg_stat_activity. */
  readonly applicationName?: string;
}

/**
 * Connects at the first query. An int8 arrives as a number here, not as the driver's string, because sequence numbers
 * and counts stay far below 2^53: a session with 10,000 frames a second reaches that after 28,000 years. A number
 * beyond ±(2^53 - 1), which only another program can have stored, is read as that limit. Unlike the double that is
 * nearest to such a number, the limit can be written back.
 */
export function connect(databaseUrl: string, options: ConnectOptions = {}): Sql {
  refuseUnpatched(postgres);
  return postgres(databaseUrl, {
    max: options.max ?? 10,
    connect_timeout: 5,
    // The number of seconds before the driver reconnects. Its default grows to 30 s.
    backoff: (attempt: number) => Math.min(0.1 * 2 ** attempt, 2),
    onnotice: () => {},
    connection: { application_name: options.applicationName ?? 'longhaul' },
    types: {
      bigint: { to: 20, from: [20], parse: safeInteger, serialize: String },
    },
  });
}

const safeInteger = (text: string): number =>
  Math.min(Math.max(Number(text), Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);

/**
 * Refuses the driver as it is published, because that driver ends the process, or never responds again, if a connection
 * is lost. Longhaul patches the driver at installation.
 */
export function refuseUnpatched(driver: object): void {
  if ('patchedByLonghaul' in driver) return;
  throw new LonghaulError(
    'invalid_input',
    "The Postgres driver: expected the patched copy that comes with Longhaul, found the published one: run `node bin/patch-postgres.js` in Longhaul's folder, or reinstall Longhaul.",
  );
}

/** Resolves when the database responds to a statement. */
export async function ping(sql: Sql): Promise<void> {
  await sql`SELECT 1`;
}

export async function serverVersion(sql: Sql): Promise<{ readonly version: string; readonly number: number }> {
  const [row] = await sql<{ version: string; number: number }[]>`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number`;
  return row ?? { version: '', number: 0 };
}

/**
 * Returns the SQLSTATE of a failed statement, or the driver's code of a failed connection (CONNECTION_CLOSED,
 * ECONNREFUSED, …).
 */
export function sqlCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/**
 * Returns whether the statement may succeed on a new connection or if it is repeated. Whether the failed statement had
 * its effect is not known.
 */
export function isConnectionLoss(error: unknown): boolean {
  const code = sqlCode(error);
  if (code === undefined) return false;
  return (
    /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)/.test(code) ||
    // 57P: the server shuts down or starts; 08: connection; 53: out of disk, memory or connections; 40: serialization
    // failure or deadlock; 57014 and 55P03: a statement_timeout or lock_timeout of the database's settings ended the
    // statement.
    /^(57P|08|40|53|57014|55P03)/.test(code)
  );
}
