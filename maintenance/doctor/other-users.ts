/**
 * Checks whether this machine has other users, because each of them can connect to Temporal's ports
 * (docs/guarantees.md, "Other users of the machine"). Accounts are read from /etc/passwd. A user of a directory service
 * has no line there, and is found only as the owner of a process.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { type Check, ok, warning } from './check.ts';

/**
 * The range of the user ids of persons. Services have ids outside of this range (login.defs(5): UID_MIN and UID_MAX, as
 * every distribution sets them).
 */
const MIN_UID = 1_000;
const MAX_UID = 60_000;
const NO_LOGIN = /\/(nologin|false|sync)$/;
const SHOWN = 3;

export interface LocalUsers {
  /** The text of /etc/passwd. */
  readonly passwd: string;
  /** The user ids of the owners of processes. */
  readonly processOwners: readonly number[];
  /** The user id of this process. Undefined on a system without user ids. */
  readonly self: number | undefined;
}

export async function readLocalUsers(): Promise<LocalUsers> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const owners = await Promise.all(
    pids.map((pid) =>
      stat(`/proc/${pid}`).then(
        ({ uid }) => uid,
        () => 0,
      ),
    ),
  );
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return { passwd, processOwners: [...new Set(owners)], self: process.getuid?.() };
}

/**
 * Warns if other users can log in. This check is called only for an embedded Temporal. For a Temporal server of the
 * user's own, the user decides who can reach it.
 */
export function checkOtherUsers({ passwd, processOwners, self }: LocalUsers): Check {
  const name = 'other users';
  const accounts = passwd.split('\n').flatMap((line) => {
    const [account = '', , uid = '', , , , shell = ''] = line.split(':');
    return isPerson(Number(uid)) && !NO_LOGIN.test(shell) ? [{ account, uid: Number(uid) }] : [];
  });
  const known = new Set(accounts.map(({ uid }) => uid));
  const atWork = processOwners.filter((uid) => isPerson(uid) && !known.has(uid));
  const people = [
    ...accounts.filter(({ uid }) => uid !== self).map(({ account }) => account),
    ...atWork.filter((uid) => uid !== self).map((uid) => `uid ${uid}`),
  ];
  if (people.length === 0) return ok(name, 'none can log in');
  const shown = people.slice(0, SHOWN).join(', ') + (people.length > SHOWN ? ', …' : '');
  return warning(
    name,
    `${people.length} can log in here (${shown}): each of them can reach Temporal and its Web UI, read the first lines of summaries and terminate runs`,
    'docs/guarantees.md, "Other users of the machine", says what else they can and cannot do.',
  );
}

const isPerson = (uid: number): boolean => uid >= MIN_UID && uid <= MAX_UID;
