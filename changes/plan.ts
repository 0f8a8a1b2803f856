/**
 * Plans an apply or an undo: merges each path of the change with the checkout, and stores the merged contents in the
 * mirror. Nothing in the checkout changes.
 *
 * Must never happen: a plan writes through a link or into another repository, overwrites a file that the user changed,
 * or contains one part of the change although another part conflicts.
 */
import { LonghaulError } from '../contract/errors.ts';
import { filePath } from '../worktrees/file-path.ts';
import { gitText, git } from '../worktrees/git.ts';
import { type Checkout, inCheckout, makeIndex, type NamedBlob } from './checkout.ts';
import { type DiskState, isSameState, withExecutable } from './disk.ts';
import { asCheckedOut } from './conversion.ts';
import type { Journal, JournalEntry, Side } from './journal.ts';
import { type Conflict, type Decision, decide, mergeLines, type ToMerge } from './merge.ts';
import { findObstacles } from './obstacles.ts';
import { type FoundOurs, isGitlink, keyOf, type Ours, readOurs } from './ours.ts';

/**
 * One path that an action is to change: from `base` to `theirs`. For an undo, `base` is what the apply wrote and
 * `theirs` what was there before.
 */
export interface Wanted {
  readonly path: Buffer;
  readonly base: Side;
  readonly theirs: Side;
  /**
   * What is on disk for `base` and for `theirs`. Only an undo has it, because the journal of the apply has the exact
   * bytes.
   */
  readonly disk?: { readonly base: DiskState; readonly theirs: DiskState };
}

export interface ConflictingPath {
  readonly path: Buffer;
  readonly reason: string;
}

export type Plan =
  | { readonly kind: 'conflict'; readonly paths: readonly ConflictingPath[] }
  | { readonly kind: 'plan'; readonly journal: Journal };

/** The content that a path will have after the action. */
interface Outcome {
  readonly wanted: Wanted;
  readonly ours: Ours;
  readonly side: Side;
}

/**
 * Makes the plan for the given paths, or returns the paths that conflict. `ref` is the name of the ref that will
 * protect the blobs of the journal from git's garbage collection.
 */
export async function makePlan(checkout: Checkout, wanted: readonly Wanted[], ref: string): Promise<Plan> {
  const found = await readOurs(
    checkout,
    wanted.map((one) => one.path),
  );
  const ours = await withUntouched(checkout, wanted, found);
  const { outcomes, conflicts } = await decideAll(checkout, wanted, ours);
  if (conflicts.length === 0) conflicts.push(...findObstacles(checkout.topLevel, outcomes));
  if (conflicts.length > 0) return { kind: 'conflict', paths: conflicts };
  const entries = await entriesOf(checkout, outcomes, found);
  const { topLevel, mirror, modes } = checkout;
  await keepBlobs(checkout, entries, ref);
  return { kind: 'plan', journal: { checkout: topLevel, mirror, ref, modes, entries } };
}

/**
 * Returns what the checkout has at the paths, with unchanged files marked as equal to the base. A file counts as
 * unchanged if its bytes are those that git writes for the base, even if `git add` would store other bytes. Such a file
 * is, for example, one that was committed with CRLF before an attribute asked for LF. For an undo the bytes are
 * compared with those that the apply wrote.
 */
async function withUntouched(
  checkout: Checkout,
  wanted: readonly Wanted[],
  { of, attributes }: FoundOurs,
): Promise<Map<string, Ours>> {
  const result = new Map(of);
  const doubtful: Wanted[] = [];
  for (const one of wanted) {
    const ours = of.get(keyOf(one.path));
    if (ours === undefined || ours.disk === null) continue;
    if (one.disk !== undefined && isSameState(ours.disk, one.disk.base, checkout.modes))
      result.set(keyOf(one.path), { ...ours, side: one.base });
    else if (one.base !== null && ours.side !== null && ours.side.blob !== one.base.blob && !isGitlink(one.base.mode))
      doubtful.push(one);
  }
  const files = doubtful.flatMap(({ path, base }) => (base === null ? [] : [{ path, ...base }]));
  const converted = await asCheckedOut(checkout, { files, attributes, otherAttributes: false });
  for (const { path, base } of doubtful) {
    const [ours, state] = [of.get(keyOf(path)), converted.get(keyOf(path))];
    if (!ours?.disk || !ours.side || !state || !base || state.kind !== ours.disk.kind || state.raw !== ours.disk.raw)
      continue;
    result.set(keyOf(path), { ...ours, side: { mode: ours.side.mode, blob: base.blob } });
  }
  return result;
}

interface Decided {
  readonly outcomes: Outcome[];
  readonly conflicts: ConflictingPath[];
}

async function decideAll(
  checkout: Checkout,
  wanted: readonly Wanted[],
  ours: ReadonlyMap<string, Ours>,
): Promise<Decided> {
  const decided: Decided = { outcomes: [], conflicts: [] };
  const merges: (ToMerge & { readonly wanted: Wanted; readonly ours: Ours })[] = [];
  for (const one of wanted) {
    const own = ours.get(keyOf(one.path));
    if (own === undefined) throw new TypeError('every path was read');
    const decision = decideOne(one, own, checkout.modes);
    if (decision.kind === 'conflict') decided.conflicts.push({ path: one.path, reason: decision.reason });
    else if (decision.kind === 'take') decided.outcomes.push({ wanted: one, ours: own, side: decision.side });
    else if (decision.kind === 'merge') merges.push({ path: one.path, ...decision, wanted: one, ours: own });
  }
  const merged = await mergeLines(checkout, merges);
  for (const one of merges) {
    const result = merged.get(keyOf(one.path));
    if (result?.kind === 'merged') decided.outcomes.push({ wanted: one.wanted, ours: one.ours, side: result.side });
    else decided.conflicts.push({ path: one.path, reason: result?.reason ?? 'it could not be merged' });
  }
  return decided;
}

function decideOne({ path, base, theirs }: Wanted, ours: Ours, modes: boolean): Decision {
  const conflict = (reason: string): Conflict => ({ kind: 'conflict', reason });
  if (!isSafe(path)) return conflict('its name is not allowed in a checkout');
  const decision = decide({ base, theirs, ours: ours.side }, modes);
  if (decision.kind === 'there') return decision;
  if (isGitlink(base?.mode) || isGitlink(theirs?.mode))
    return conflict('it is a submodule, whose commit git keeps in the index: check it out there by hand');
  if (ours.unmerged) return conflict('its merge in the checkout is not resolved');
  if (ours.sparse && decision.kind === 'take' && decision.side === null)
    return conflict('it is outside the sparse checkout, where a deletion is not visible');
  return decision;
}

/**
 * Whether each part of the path is a name that git allows in a checkout. Git refuses to add a path with an empty part,
 * `.`, `..` or `.git`, but a tree that another program made may contain such a path.
 */
function isSafe(path: Buffer): boolean {
  const parts = path.toString('latin1').split('/');
  return parts.every((part) => part !== '' && part !== '.' && part !== '..' && part.toLowerCase() !== '.git');
}

/**
 * Returns the entries of the journal: first the deletions, in the reverse order of the paths, then the files to write.
 * So a folder is empty before a file takes the folder's name.
 */
async function entriesOf(
  checkout: Checkout,
  outcomes: readonly Outcome[],
  { attributes }: FoundOurs,
): Promise<JournalEntry[]> {
  const files = outcomes.flatMap(({ wanted, side }) =>
    side === null || isKnown(wanted, side) ? [] : [{ path: wanted.path, ...side }],
  );
  const changed = outcomes.filter(({ wanted }) => isAttributes(wanted.path));
  const converted = await asCheckedOut(checkout, {
    files,
    attributes: withChanged(attributes, changed),
    otherAttributes: changed.length > 0,
  });
  const entries = outcomes.map(({ wanted, ours, side }): JournalEntry => {
    const known = side !== null && isKnown(wanted, side) ? (wanted.disk?.theirs ?? null) : undefined;
    const becomes = known ?? withPermOf(converted.get(keyOf(wanted.path)) ?? null, ours.disk, side);
    return { ...filePath(wanted.path), old: ours.side, new: side, was: ours.disk, becomes };
  });
  const deleted = entries.filter((entry) => entry.becomes === null).toReversed();
  return [...deleted, ...entries.filter((entry) => entry.becomes !== null)];
}

/**
 * Returns whether the journal of the apply has the exact bytes on disk for the content `side`. This is possible only
 * for an undo.
 */
const isKnown = ({ theirs, disk }: Wanted, side: NonNullable<Side>): boolean =>
  disk?.theirs != null && theirs?.mode === side.mode && theirs.blob === side.blob;

const isAttributes = (path: Buffer): boolean => /(^|\/)\.gitattributes$/.test(path.toString('latin1'));

function withChanged(attributes: readonly NamedBlob[], changed: readonly Outcome[]): NamedBlob[] {
  const byKey = new Map(attributes.map((one) => [keyOf(one.path), one]));
  for (const { wanted, side } of changed) {
    if (side === null) byKey.delete(keyOf(wanted.path));
    else byKey.set(keyOf(wanted.path), { path: wanted.path, ...side });
  }
  return [...byKey.values()];
}

/**
 * Returns the state to write with the permissions of the file that it replaces. Only the right to execute comes from
 * the mode of the new content.
 */
function withPermOf(written: DiskState, was: DiskState, side: Side): DiskState {
  if (written?.kind !== 'file' || was?.kind !== 'file') return written;
  return { ...written, perm: withExecutable(was.perm, side?.mode === '100755') };
}

/** Protects the blobs of the journal from git's garbage collection: a ref names a commit whose tree contains them. */
async function keepBlobs(checkout: Checkout, entries: readonly JournalEntry[], ref: string): Promise<void> {
  const ids = new Set(
    entries.flatMap(({ old, new: next, was, becomes }) =>
      [old?.blob, next?.blob, was?.raw, becomes?.raw].filter((id) => id !== undefined),
    ),
  );
  if (ids.size === 0) return;
  const at = inCheckout(checkout, 'kept');
  const blobs = [...ids].map((blob, index) => ({ path: Buffer.from(String(index)), mode: '100644', blob }));
  await makeIndex(at, blobs);
  const tree = await gitText(['write-tree'], at);
  const who = { NAME: 'Longhaul', EMAIL: 'longhaul@localhost', DATE: '@0 +0000' };
  const named = Object.entries(who).flatMap(([key, value]) => [
    [`GIT_AUTHOR_${key}`, value],
    [`GIT_COMMITTER_${key}`, value],
  ]);
  const commit = await gitText(['commit-tree', tree, '-m', 'Files of a change that was applied'], {
    ...at,
    env: { ...at.env, ...Object.fromEntries(named) },
  });
  await git(['update-ref', ref, commit], { cwd: checkout.mirror });
}

const SHOWN_PATHS = 20;

/** Returns the error that names the conflicting paths, at most 20 of them. */
export function conflictError(
  action: 'apply' | 'undo' | 'reject',
  checkout: string,
  paths: readonly ConflictingPath[],
  hint = '',
): LonghaulError {
  const shown = paths.slice(0, SHOWN_PATHS).map(({ path, reason }) => `\n  ${filePath(path).path}: ${reason}`);
  const more = paths.length > SHOWN_PATHS ? `\n  … and ${paths.length - SHOWN_PATHS} more` : '';
  return new LonghaulError(
    'change_conflict',
    `The change cannot be ${action === 'undo' ? 'undone' : 'applied'} in ${checkout}: these paths do not merge. Nothing was changed.${hint}${shown.join('')}${more}`,
  );
}
