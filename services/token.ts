/**
 * The bearer token of a home's backend: made at the first start, readable by us alone. Two that start at once have one
 * token: the file is linked into place whole, by the first.
 */
import { randomBytes } from 'node:crypto';
import { chmod, link, open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno, LonghaulError, messageOf } from '../contract/errors.ts';
import { homePaths } from './home/home.ts';
import { refuseWithoutToken } from './listen-host.ts';
import { readOwnFile, writePrivately } from './home/private-file.ts';
import type { Settings } from './settings.ts';

/** Long enough that guessing is hopeless: 256 bits in a token that we make, at least MIN_CHARS in one that we are given. */
const TOKEN_BYTES = 32;
const MIN_CHARS = 32;
/** RFC 6750's token, and an HTTP token too: it is valid in a header and in a list of WebSocket protocols. */
const TOKEN = /^[\w.~+-]+$/;

/**
 * `undefined`: there is no such file. Fails with `invalid_input` if its content is no token, or belongs to another
 * user.
 */
export async function readToken(file: string): Promise<string | undefined> {
  let text: string;
  try {
    const read = await readOwnFile(file);
    if (read === undefined) return undefined;
    text = read.trim();
  } catch (error) {
    if (error instanceof LonghaulError) throw error;
    const why = messageOf(error);
    throw new LonghaulError('invalid_input', `The token file ${file} cannot be read: ${why}`, { cause: error });
  }
  if (text.length >= MIN_CHARS && TOKEN.test(text)) return text;
  throw new LonghaulError(
    'invalid_input',
    `The token file ${file}: expected at least ${MIN_CHARS} letters, digits or any of - . _ ~ + in one line, found something else. \`openssl rand -hex 32\` makes one.`,
  );
}

export const tokenFileFor = ({ home, tokenFile }: Pick<Settings, 'home' | 'tokenFile'>): string =>
  tokenFile ?? homePaths(home).tokenFile;

/**
 * The token that the backend will require; `undefined`: it creates one at its start. Fails with `invalid_input` if the
 * backend would not start. A file that LONGHAUL_TOKEN_FILE names is not made: the user has to make it.
 */
export async function tokenForStart(settings: Settings): Promise<string | undefined> {
  const file = tokenFileFor(settings);
  const known = await readToken(file);
  refuseWithoutToken(settings.listen, known, file);
  if (known !== undefined || settings.tokenFile === undefined) return known;
  throw new LonghaulError('invalid_input', `LONGHAUL_TOKEN_FILE: there is no ${file}.`);
}

/** An existing token stays, and is made unreadable for other users. */
export async function readOrMakeToken(file: string): Promise<string> {
  const known = await readToken(file);
  if (known === undefined) await makeToken(file);
  else if (((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600);
  const token = known ?? (await readToken(file));
  if (token === undefined)
    throw new LonghaulError(
      'invalid_input',
      `The token file ${file} disappeared while it was made: start the backend again.`,
    );
  return token;
}

/** Beside a token of the home, for programs that read a header from a file (`curl -H @file`). */
export async function keepAuthHeader(file: string, token: string): Promise<void> {
  const line = `Authorization: Bearer ${token}\n`;
  if ((await readOwnFile(file)) !== line) await writePrivately(file, line);
}

async function makeToken(file: string): Promise<void> {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(4).toString('hex')}`);
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(TOKEN_BYTES).toString('base64url')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporary, file).catch((error: unknown) => {
      if (!isErrno(error, 'EEXIST')) throw error;
    });
  } finally {
    await rm(temporary, { force: true });
  }
}
