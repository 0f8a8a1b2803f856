/**
 * Gives a mirror the objects of its project as hard links, which use no disk space and which no `git gc` of the user
 * removes. If mirror and project are on different file systems, the objects are copied.
 *
 * The user's gc may run at the same time. It writes a pack before it removes the loose objects that the pack replaces.
 * So loose objects are read before packs: an object that is no longer loose is in a pack. If a pack was removed after
 * the list was read, the list is read again.
 */
import { randomUUID } from 'node:crypto';
import {
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { isErrno, LonghaulError } from '../contract/errors.ts';
import { writeWhole } from '../processes/whole-file.ts';
import { orAbsentSync } from './repository.ts';

export interface LinkObjects {
  readonly from: string;
  readonly to: string;
  /** Whether objects that `to` already has are replaced, because they may be damaged. */
  readonly replace: boolean;
  readonly signal?: AbortSignal;
}

/**
 * The objects are read again at most this many times because packs were removed. More changes in a row cannot come from
 * a gc.
 */
const ATTEMPTS = 20;
const LOOSE = /^[0-9a-f]{2}$/;
/**
 * The files of a pack, in the order in which they are linked: `.idx` is last, because git uses a pack once its index
 * exists. Not linked: `.keep`, which is the user's, and `multi-pack-index`, which names packs by their order.
 */
const PACK_PARTS = ['.pack', '.rev', '.bitmap', '.mtimes', '.promisor', '.idx'];

/**
 * Links all objects of the project into the mirror. Throws `repository_locked` if packs are removed at each attempt.
 */
export async function linkObjects(options: LinkObjects): Promise<void> {
  const { from, to, signal } = options;
  for (let attempt = 1; ; attempt += 1) {
    for (const folder of names(from).filter((name) => LOOSE.test(name))) {
      signal?.throwIfAborted();
      linkFolder(options, folder, names(path.join(from, folder)));
      await breathe();
    }
    const packs = names(path.join(from, 'pack')).filter((name) => rank(name) >= 0);
    if (
      linkFolder(
        options,
        'pack',
        packs.sort((a, b) => rank(a) - rank(b)),
      )
    )
      break;
    if (attempt === ATTEMPTS)
      throw new LonghaulError('repository_locked', `Packs of ${from} are removed while they are read. Try again.`);
  }
  const borrowed = alternates(from);
  if (borrowed !== '') writeWhole(path.join(to, 'info', 'alternates'), borrowed);
}

/**
 * Links the large files that git-lfs keeps beside the objects (`lfs/objects/<2>/<2>/<id>`), because git-lfs also looks
 * beside borrowed objects. `from` and `to`: the git common directories.
 */
export async function linkLargeFiles({ from, to, replace, signal }: LinkObjects): Promise<void> {
  const store = path.join('lfs', 'objects');
  for (const first of names(path.join(from, store))) {
    for (const second of names(path.join(from, store, first))) {
      signal?.throwIfAborted();
      const folder = path.join(store, first, second);
      linkFolder({ from, to, replace }, folder, names(path.join(from, folder)));
    }
    await breathe();
  }
}

const rank = (name: string): number => PACK_PARTS.indexOf(path.extname(name));
const names = (folder: string): string[] => orAbsentSync(() => readdirSync(folder)) ?? [];

/** Links the files of one folder. Returns false if a file was removed during the call. */
function linkFolder({ from, to, replace }: LinkObjects, folder: string, wanted: readonly string[]): boolean {
  if (wanted.length === 0) return true;
  mkdirSync(path.join(to, folder), { recursive: true });
  const there = new Set(replace ? [] : names(path.join(to, folder)));
  let isComplete = true;
  for (const name of wanted.filter((one) => !there.has(one) && !one.startsWith('tmp_'))) {
    isComplete = linkOne(path.join(from, folder, name), path.join(to, folder, name)) && isComplete;
  }
  return isComplete;
}

function linkOne(from: string, to: string): boolean {
  const draft = `${to}.tmp_${randomUUID()}`;
  try {
    const [source, target] = [lstatSync(from), orAbsentSync(() => lstatSync(to))];
    if (target?.ino === source.ino && target.dev === source.dev) return true;
    try {
      linkSync(from, draft);
    } catch (error) {
      if (!isErrno(error, 'EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK')) throw error;
      copyFileSync(from, draft);
    }
    renameSync(draft, to);
    return true;
  } catch (error) {
    orAbsentSync(() => unlinkSync(draft));
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/**
 * Returns the content of the alternates file, with absolute paths, for a project that itself borrows objects (`git
 * clone --reference`).
 */
function alternates(objects: string): string {
  const text = orAbsentSync(() => readFileSync(path.join(objects, 'info', 'alternates'), 'utf8')) ?? '';
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => `${path.resolve(objects, line)}\n`).join('');
}
