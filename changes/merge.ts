/**
 * Merges one path of a change with the checkout, as git merges three versions: `base` is the common version, `theirs`
 * is the version of the change, and `ours` is what the user's checkout has.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { git, gitError, tryGit } from '../worktrees/git.ts';
import { splitFields } from '../worktrees/file-path.ts';
import { asLines, type Checkout, inCheckout, readBlobs, storeBlob } from './checkout.ts';
import type { Side } from './journal.ts';
import { keyOf } from './ours.ts';

export interface Sides {
  readonly base: Side;
  readonly theirs: Side;
  readonly ours: Side;
}

export type Decision =
  /** The checkout already has `theirs`, so nothing is written. */
  | { readonly kind: 'there' }
  /** `side` is written to the checkout as it is, because no lines need to be merged. */
  | { readonly kind: 'take'; readonly side: Side }
  /** Both the user and the change modified the content of the file, so its lines must be merged. */
  | { readonly kind: 'merge'; readonly mode: string; readonly blobs: Record<'base' | 'ours' | 'theirs', string> }
  | { readonly kind: 'conflict'; readonly reason: string };

const isSame = (one: Side, other: Side): boolean => one?.mode === other?.mode && one?.blob === other?.blob;
const isRegular = (side: Side): side is NonNullable<Side> => side !== null && side.mode.startsWith('100');

/**
 * Decides what happens with one path. `modes` says whether the checkout keeps executable bits. If it does not, the mode
 * of the user's file is unknown, and the mode of `base` or `theirs` is used.
 */
export function decide({ base, theirs, ours: found }: Sides, modes: boolean): Decision {
  const ours = modes ? found : withModeOf(found, base, theirs);
  if (isSame(ours, theirs)) return { kind: 'there' };
  if (isSame(ours, base)) return { kind: 'take', side: theirs };
  if (ours === null) return { kind: 'conflict', reason: 'it does not exist in the checkout' };
  if (base === null) return { kind: 'conflict', reason: 'it exists in the checkout with other content' };
  if (theirs === null) return { kind: 'conflict', reason: 'it was changed in the checkout, and is to be deleted' };
  if (!isRegular(base) || !isRegular(theirs) || !isRegular(ours))
    return { kind: 'conflict', reason: 'it was changed in the checkout, too' };
  const mode = ours.mode === base.mode ? theirs.mode : ours.mode;
  if (ours.blob === base.blob || ours.blob === theirs.blob) return { kind: 'take', side: { mode, blob: theirs.blob } };
  if (base.blob === theirs.blob) return { kind: 'take', side: { mode, blob: ours.blob } };
  return { kind: 'merge', mode, blobs: { base: base.blob, ours: ours.blob, theirs: theirs.blob } };
}

function withModeOf(ours: Side, base: Side, theirs: Side): Side {
  if (!isRegular(ours)) return ours;
  const known = isRegular(base) ? base : isRegular(theirs) ? theirs : ours;
  return { mode: known.mode, blob: ours.blob };
}

export interface ToMerge {
  readonly path: Buffer;
  readonly mode: string;
  readonly blobs: Record<'base' | 'ours' | 'theirs', string>;
}

/**
 * The outcome of merging the lines of one file: the content and mode to write, or the reason why the lines do not merge.
 */
export type Merged = { readonly kind: 'merged'; readonly side: NonNullable<Side> } | Conflict;
export interface Conflict {
  readonly kind: 'conflict';
  readonly reason: string;
}

/**
 * Merges the contents of the files line by line. Returns the results by the keys of the paths (`keyOf`). Starts one git
 * process for all files, and in addition up to three for each file.
 */
export async function mergeLines(checkout: Checkout, files: readonly ToMerge[]): Promise<Map<string, Merged>> {
  const merged = new Map<string, Merged>();
  if (files.length === 0) return merged;
  const drivers = await mergeDrivers(
    checkout,
    files.map((file) => file.path),
  );
  for (const file of files) {
    const driver = drivers.get(keyOf(file.path)) ?? 'unspecified';
    merged.set(keyOf(file.path), await mergeOne(checkout, file, driver));
  }
  return merged;
}

/**
 * Returns the value of the attribute `merge` by the key of each path (gitattributes, "Performing a three-way merge").
 */
async function mergeDrivers(checkout: Checkout, paths: readonly Buffer[]): Promise<Map<string, string>> {
  const output = await git(['check-attr', '-z', '--stdin', 'merge'], {
    ...inCheckout(checkout),
    input: asLines(paths),
  });
  const fields = splitFields(output);
  const drivers = new Map<string, string>();
  for (let at = 0; at + 2 < fields.length; at += 3) {
    drivers.set(keyOf(fields[at] ?? Buffer.of()), fields[at + 2]?.toString('utf8') ?? '');
  }
  return drivers;
}

/** git-merge-file exits with the number of conflicts, or with 127 if there are more. A higher exit code is an error. */
const MOST_CONFLICTS = 127;

async function mergeOne(checkout: Checkout, { mode, blobs }: ToMerge, driver: string): Promise<Merged> {
  const bothChanged = { kind: 'conflict', reason: 'the same lines were changed in the checkout' } as const;
  if (driver === 'unset' || driver === 'binary') return bothChanged;
  const at = inCheckout(checkout);
  const names = ['ours', 'base', 'theirs'] as const;
  const contents = await readBlobs(
    at,
    names.map((name) => blobs[name]),
  );
  if (contents.some(isBinary)) return { kind: 'conflict', reason: 'it is binary and was changed in the checkout, too' };
  const files = names.map((name, index) => {
    const file = path.join(checkout.scratch, `merge-${name}`);
    writeFileSync(file, contents[index] ?? '');
    return file;
  });
  const args = ['merge-file', '-p', '--quiet', ...(driver === 'union' ? ['--union'] : []), '--', ...files];
  const outcome = await tryGit(args, at);
  const { exitCode } = outcome;
  if (exitCode === null || exitCode > MOST_CONFLICTS) throw gitError(args, checkout.topLevel, outcome);
  if (exitCode > 0) return bothChanged;
  return { kind: 'merged', side: { mode, blob: await storeBlob(at, outcome.stdout) } };
}

/** Git treats a file as binary if one of its first 8,000 bytes is NUL. */
const BINARY_WITHIN_BYTES = 8_000;
const isBinary = (bytes: Buffer): boolean => bytes.subarray(0, BINARY_WITHIN_BYTES).includes(0);
