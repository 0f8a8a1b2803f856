/**
 * The database's password outside of DATABASE_URL: a passfile in the home, in libpq's format, that only its owner can
 * read. `run/state.json` and everything that a person sees hold the address without the password.
 *
 * Not covered: a password that the driver takes from PGPASSWORD. It is in no address, so it is never written.
 */
import { rm } from 'node:fs/promises';
import { readOwnFile, writePrivately } from '../home/private-file.ts';

/** libpq's port if the address names none. */
const DEFAULT_PORT = '5432';
/** Parameters of a Postgres address that hold a secret. */
const SECRET_PARAMETERS = ['password', 'sslpassword'];

/** The same address, usable with a passfile. Text that is no address becomes `postgres://…`: it may hold a password, too. */
export function withoutPassword(databaseUrl: string): string {
  const url = parsed(databaseUrl);
  if (!url) return 'postgres://…';
  url.password = '';
  for (const name of SECRET_PARAMETERS) url.searchParams.delete(name);
  return url.href;
}

/** Writes the passfile of this address, or removes it where the address has no password. */
export async function keepPassword(passfile: string, databaseUrl: string): Promise<void> {
  const line = passfileLine(databaseUrl);
  const now = await readOwnFile(passfile);
  if (now === line) return;
  if (line === undefined) await rm(passfile, { force: true });
  else await writePrivately(passfile, line);
}

/** The address with the password that the passfile has for it; unchanged if it has none. */
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

/** Whether two addresses lead to the same database: host, port and name are equal, whatever user and password are. */
export function isSameDatabase(one: string, other: string): boolean {
  const [a, b] = [parsed(one), parsed(other)];
  if (!a || !b) return one === other;
  return hostOf(a) === hostOf(b) && portOf(a) === portOf(b) && a.pathname === b.pathname;
}

/** The password in clear, for PGPASSWORD. */
export function passwordOf(databaseUrl: string): string | undefined {
  const url = parsed(databaseUrl);
  return url === undefined || url.password === '' ? undefined : decodeURIComponent(url.password);
}

/** `host:port:database:user:password`; each database of the server, since the role is the same. */
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
