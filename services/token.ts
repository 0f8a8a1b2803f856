/**
 * The bearer token of a home's backend. It is created at the first start, and only its owner can read it. If two
 * backends start at once, they use one token: each writes a complete file and links it into place, and the first link
 * wins.
 */
import { randomBytes } from 'node:crypto';
import { chmod, link, open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno, LonghaulError, messageOf } from '../contract/errors.ts';
import { homePaths } from './home/home.ts';
import { refuseWithoutToken } from './listen-host.ts';
import { writePrivately } from '../processes/whole-file.ts';
import { readOwnFile } from './home/private-file.ts';
import type { Settings } from './settings.ts';

/**
 * Bytes of a token that Longhaul creates: 256 bits, too many to guess. A token of the user has at least MIN_CHARS
 * characters.
 */
const TOKEN_BYTES = 32;
const MIN_CHARS = 32;
/**
 * The token syntax of RFC 6750, limited to characters of an HTTP token: such a token is valid in a header and in a list
 * of WebSocket protocols.
 */
const TOKEN = /^[\w.~+-]+$/;

/**
 * Returns the token; `undefined` if the file does not exist. Fails with `invalid_input` if the file's content is not a
 * token or the file belongs to another user.
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

/** Returns the file that the user named, otherwise the token file of the home. */
export const tokenFileFor = ({ home, tokenFile }: Pick<Settings, 'home' | 'tokenFile'>): string =>
  tokenFile ?? homePaths(home).tokenFile;

/**
 * Returns the token that the backend will require; `undefined` if the backend will create one when it starts. Fails
 * with `invalid_input` if the backend would refuse to start. Longhaul does not create a file that LONGHAUL_TOKEN_FILE
 * names: the user must create it.
 */
export async function tokenForStart(settings: Settings): Promise<string | undefined> {
  const file = tokenFileFor(settings);
  const known = await readToken(file);
  refuseWithoutToken(settings.listen, known, file);
  if (known !== undefined || settings.tokenFile === undefined) return known;
  throw new LonghaulError('invalid_input', `LONGHAUL_TOKEN_FILE: there is no ${file}.`);
}

/**
 * Returns the token and creates it if it is missing. An existing token is kept, and made unreadable for other users.
 */
export async function readOrMakeToken(file: string): Promise<string> {
  const known = await readToken(file);
  if (known === undefined) await makeToken(file);
  else if (((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600);
  const token = known ?? (await readToken(file));
  if (token === undefined)
    throw new LonghaulError(
      'invalid_input',
      `The token file ${file} disappeared while it was created: start the backend again.`,
    );
  return token;
}

/**
 * Writes the token as a header line into a file beside the token file, for programs that read a header from a file
 * (`curl -H @file`).
 */
export async function writeAuthHeader(file: string, token: string): Promise<void> {
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
