/**
 * Reads what a user's checkout has at the paths of a change: the bytes on disk, and the same content in the
 * repository's form, as `git add` would store it. The user's index is only read.
 */
import { readlinkSync } from 'node:fs';
import { git } from '../worktrees/git.ts';
import {
  asLines,
  type Checkout,
  inCheckout,
  type IndexEntry,
  listIndex,
  makeIndex,
  type NamedBlob,
  storeRaw,
} from './checkout.ts';
import { barrierTo, blobId, type DiskState, joined, parentsOf, statusAt } from './disk.ts';
import type { Side } from './journal.ts';

/** Converts a path to a key for a map: one character for each byte. */
export const keyOf = (relative: Buffer): string => relative.toString('latin1');
export const pathOfKey = (key: string): Buffer => Buffer.from(key, 'latin1');

export interface Ours {
  readonly side: Side;
  readonly disk: DiskState;
  /**
   * Whether the path is outside the cone of a sparse checkout. Then `side` is the entry of the user's index, and
   * nothing is on disk.
   */
  readonly sparse: boolean;
  /** Whether the path belongs to a merge in the user's index that is not resolved. */
  readonly unmerged: boolean;
  /** Whether the path is in the user's index. */
  readonly tracked: boolean;
}

export interface FoundOurs {
  readonly of: ReadonlyMap<string, Ours>;
  /**
   * The `.gitattributes` files that apply to the paths: the version on disk, or the version in the user's index if the
   * file is not on disk.
   */
  readonly attributes: readonly NamedBlob[];
}

const ATTRIBUTES = '.gitattributes';

/** Returns what the checkout has at the paths. Starts four git processes, whatever the number of paths. */
export async function readOurs(checkout: Checkout, paths: readonly Buffer[]): Promise<FoundOurs> {
  const attributeKeys = attributeFiles(paths);
  const wanted = new Set([...paths.map(keyOf), ...attributeKeys]);
  const { byKey, unmerged } = await ofIndex(checkout, wanted);
  const disk = await readStates(checkout, [...wanted].map(pathOfKey));
  const at = inCheckout(checkout, 'ours');
  await makeIndex(
    at,
    [...byKey.values()].filter((entry) => !isGitlink(entry.mode)),
  );
  const present = [...wanted].filter((key) => disk.get(key) !== null);
  const input = asLines(present.map(pathOfKey));
  if (present.length > 0) await git(['update-index', '--add', '--replace', '-z', '--stdin'], { ...at, input });
  const clean = new Map((await listIndex(at)).map((entry) => [keyOf(entry.path), entry]));
  const of = new Map<string, Ours>();
  for (const name of paths) {
    const key = keyOf(name);
    const entry = byKey.get(key);
    const state = disk.get(key) ?? null;
    const sparse = state === null && entry?.skipped === true;
    const found = state !== null ? clean.get(key) : sparse || isGitlink(entry?.mode) ? entry : undefined;
    const side = found === undefined ? null : { mode: found.mode, blob: found.blob };
    of.set(key, { side, disk: state, sparse, unmerged: unmerged.has(key), tracked: entry !== undefined });
  }
  const attributes = [...attributeKeys].flatMap((key) => clean.get(key) ?? []);
  return { of, attributes: attributes.map(({ path: name, mode, blob }) => ({ path: name, mode, blob })) };
}

export const isGitlink = (mode: string | undefined): boolean => mode === '160000';

/**
 * Returns the paths of the `.gitattributes` files in the top folder and in each folder that contains one of the paths.
 */
function attributeFiles(paths: readonly Buffer[]): Set<string> {
  const folders = new Set(paths.flatMap((one) => parentsOf(one).map(keyOf)));
  return new Set([ATTRIBUTES, ...[...folders].map((folder) => `${folder}/${ATTRIBUTES}`)]);
}

async function ofIndex(
  checkout: Checkout,
  wanted: ReadonlySet<string>,
): Promise<{ byKey: Map<string, IndexEntry>; unmerged: Set<string> }> {
  const [byKey, unmerged] = [new Map<string, IndexEntry>(), new Set<string>()];
  for (const entry of await listIndex(inCheckout(checkout))) {
    const key = keyOf(entry.path);
    if (!wanted.has(key)) continue;
    if (entry.mergeSide === '0') byKey.set(key, entry);
    else unmerged.add(key);
  }
  return { byKey, unmerged };
}

/** Returns what is on disk at the paths, by their keys, and stores the bytes of the files in the mirror. */
async function readStates(checkout: Checkout, paths: readonly Buffer[]): Promise<Map<string, DiskState>> {
  const { topLevel, idChars } = checkout;
  const states = new Map<string, DiskState>();
  const files: { readonly key: string; readonly file: Buffer; readonly perm: number }[] = [];
  for (const name of paths) {
    const [key, file] = [keyOf(name), joined(topLevel, name)];
    const status = barrierTo(topLevel, name) === undefined ? statusAt(file) : undefined;
    states.set(key, null);
    if (status?.isSymbolicLink() === true)
      states.set(key, { kind: 'link', raw: blobId(readlinkSync(file, { encoding: 'buffer' }), idChars) });
    else if (status?.isFile() === true && !isInNested(topLevel, name))
      files.push({ key, file, perm: status.mode & 0o777 });
  }
  const ids = await storeRaw(
    inCheckout(checkout),
    files.map(({ file }) => file),
  );
  files.forEach(({ key, perm }, index) => states.set(key, { kind: 'file', raw: ids[index] ?? '', perm }));
  return states;
}

/**
 * Returns the outermost parent of the path that is the top folder of another repository; undefined if there is none.
 */
export function nestedAbove(topLevel: string, name: Buffer): Buffer | undefined {
  return parentsOf(name).find((parent) => statusAt(joined(topLevel, withGit(parent))) !== undefined);
}

const withGit = (folder: Buffer): Buffer => Buffer.concat([folder, Buffer.from('/.git')]);
const isInNested = (topLevel: string, name: Buffer): boolean => nestedAbove(topLevel, name) !== undefined;
