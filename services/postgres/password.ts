/**
 * Keeps the database's password out of addresses that are stored or shown. The password is in a passfile in the home,
 * in libpq's format, that only its owner can read. `run/state.json` and every address that a person sees are without
 * the password.
 *
 * Not covered: a password that the driver takes from PGPASSWORD. No address contains it, so it is never written.
 */
import { rm } from 'node:fs/promises';
import { writePrivately } from '../../processes/whole-file.ts';
import { readOwnFile } from '../home/private-file.ts';

/** The default port of libpq, for an address without a port. */
const DEFAULT_PORT = '5432';
/** Parameters of a Postgres address that contain a secret. */
const SECRET_PARAMETERS = ['password', 'sslpassword'];

/**
 * Returns the address without its password, for use with a passfile. Text that is no address becomes `postgres://…`,
 * because it may contain a password, too.
 */
export function withoutPassword(databaseUrl: string): string {
  const url = parsed(databaseUrl);
  if (!url) return 'postgres://…';
  url.password = '';
  for (const name of SECRET_PARAMETERS) url.searchParams.delete(name);
  return url.href;
}

/** Writes the passfile for this address, or removes it if the address has no password. */
export async function writePassfile(passfile: string, databaseUrl: string): Promise<void> {
  const line = passfileLine(databaseUrl);
  const now = await readOwnFile(passfile);
  if (now === line) return;
  if (line === undefined) await rm(passfile, { force: true });
  else await writePrivately(passfile, line);
}

/**
 * Returns the address with the password from the passfile. Returns the address unchanged if the passfile has no
 * password for it.
 */
export async function withPassword(passfile: string, databaseUrl: string): Promise<string> {
  const url = parsed(databaseUrl);
  if (!url || url.password !== '') return databaseUrl;
  const line = (await readOwnFile(passfile))?.split('\n')[0] ?? '';
  const fields = line.match(/(?:\\.|[^:\\])+/g)?.map((field) => field.replace(/\\(.)/g, '$1')) ?? [];
  const [host, port, , user, password] = fields;
  if (password === undefined || host !== hostOf(url) || port !== portOf(url) || user !== userOf(url))
    return databaseUrl;
  url.password = encodeURIComponent(password);
  return url.href;
}

/** Whether two addresses name the same database: host, port and name are equal, whatever the user and password are. */
export function isSameDatabase(one: string, other: string): boolean {
  const [a, b] = [parsed(one), parsed(other)];
  if (!a || !b) return one === other;
  return hostOf(a) === hostOf(b) && portOf(a) === portOf(b) && a.pathname === b.pathname;
}

/** Returns the password in plain text, for PGPASSWORD. */
export function passwordOf(databaseUrl: string): string | undefined {
  const url = parsed(databaseUrl);
  return url === undefined || url.password === '' ? undefined : decodeURIComponent(url.password);
}

/**
 * Returns the line `host:port:database:user:password`. The database is `*`, because the role is the same for each
 * database of the server.
 */
function passfileLine(databaseUrl: string): string | undefined {
  const url = parsed(databaseUrl);
  const password = passwordOf(databaseUrl);
  if (!url || password === undefined) return undefined;
  const escaped = [hostOf(url), portOf(url), userOf(url), password].map((field) => field.replace(/[:\\]/g, '\\$&'));
  return `${escaped[0] ?? ''}:${escaped[1] ?? ''}:*:${escaped[2] ?? ''}:${escaped[3] ?? ''}\n`;
}

const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');
const portOf = (url: URL): string => url.port || DEFAULT_PORT;
const userOf = (url: URL): string => decodeURIComponent(url.username);

function parsed(databaseUrl: string): URL | undefined {
  try {
    return new URL(databaseUrl);
  } catch {
    return undefined;
  }
}
