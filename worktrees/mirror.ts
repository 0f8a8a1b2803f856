/**
 * The mirror of a project: a bare repository in the home that has the project's objects, refs and settings (not its hooks), and
 * the results of tasks as refs of its own. Worktrees borrow from it, so that no step writes into the project.
 *
 * Never: a file of the project is written or locked; a ref of the mirror names an object that the mirror has not linked yet;
 * a result is dropped when the mirror is brought up to date or repaired. A step that is killed leaves the state file as it
 * was: the next one brings the mirror up to date again. No git process where the project's settings are unchanged, else one.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { LonghaulError } from '../contract/errors.ts';
import { type FolderIdentity, identityOf, identitySchema } from './identity.ts';
import { linkLargeFiles, linkObjects } from './mirror-objects.ts';
import { packedRefs, type ProjectRefs, readRefs } from './mirror-refs.ts';
import { configText, projectSettings, settingsSchema, stampOf } from './mirror-settings.ts';
import {
  adminDirOf,
  canonical,
  commonDirOf,
  findEntry,
  ifThere,
  ownCommonDirOf,
  type Repository,
} from './repository.ts';
import { nameOf, withLock } from './repository-lock.ts';
import { copyOrRemove, writeWhole } from './whole-file.ts';

const STATE = 'longhaul.json';

const stateSchema = z.object({
  /** The project's shared folder. */
  commonDir: z.string(),
  /** Of that folder: a project that was moved is found again. */
  identity: identitySchema,
  /** Hash of the refs and of the commit that the checkout stood on. */
  refs: z.string(),
  symbolic: z.record(z.string(), z.string()),
  settings: settingsSchema,
});
export type MirrorState = z.infer<typeof stateSchema>;

export const mirrorsDirOf = (locksDir: string): string => path.join(path.dirname(canonical(locksDir)), 'mirrors');

export const isMirror = (locksDir: string, commonDir: string): boolean =>
  path.dirname(commonDir) === mirrorsDirOf(locksDir);

export function readState(mirror: string): MirrorState | undefined {
  const text = ifThere(() => readFileSync(path.join(mirror, STATE), 'utf8'));
  if (text === undefined) return undefined;
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (error) {
    // The machine lost power while it was written.
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

export const listMirrors = (locksDir: string): string[] => {
  const dir = mirrorsDirOf(locksDir);
  const names = ifThere(() => readdirSync(dir)) ?? [];
  return names.filter((name) => name.endsWith('.git')).map((name) => path.join(dir, name));
};

/** The mirror of the project whose shared folder this is; undefined: none was made. */
export function findMirror(locksDir: string, commonDir: string): string | undefined {
  const usual = usualPlace(locksDir, commonDir);
  const state = readState(usual);
  if (state?.commonDir === commonDir || (state === undefined && existsSync(usual))) return usual;
  return (
    listMirrors(locksDir).find((mirror) => readState(mirror)?.commonDir === commonDir) ?? moved(locksDir, commonDir)
  );
}

const usualPlace = (locksDir: string, commonDir: string): string =>
  path.join(mirrorsDirOf(locksDir), `${nameOf(commonDir)}.git`);

/** The mirror of a project whose folder was moved to this one. */
function moved(locksDir: string, commonDir: string): string | undefined {
  const identity = ifThere(() => identityOf(commonDir));
  if (identity?.birth === undefined) return undefined;
  return listMirrors(locksDir).find((mirror) => {
    const state = readState(mirror);
    return state !== undefined && !existsSync(state.commonDir) && isSame(state.identity, identity);
  });
}

const isSame = (one: FolderIdentity, other: FolderIdentity): boolean =>
  one.ino === other.ino && one.birth === other.birth;

export interface EnsureMirror {
  readonly locksDir: string;
  readonly repository: Repository;
  readonly signal?: AbortSignal;
  /**
   * `missing`: an object is expected that the mirror has not, although no ref of the project has changed: a result that an
   * earlier version stored in the project. `damaged`: every object that the project has too is linked anew.
   */
  readonly because?: 'missing' | 'damaged';
}

/** Makes the mirror, or brings it up to the commit of the checkout. Returns its path. */
export async function ensureMirror(options: EnsureMirror): Promise<string> {
  const { locksDir, repository, signal } = options;
  const { commonDir } = repository;
  const mirror = findMirror(locksDir, commonDir) ?? usualPlace(locksDir, commonDir);
  await withLock({ locksDir, subject: mirror, ...(signal && { signal }) }, () => bringUp(mirror, options));
  return mirror;
}

async function bringUp(mirror: string, { repository, signal, because }: EnsureMirror): Promise<void> {
  const { commonDir, topLevel, head } = repository;
  const state = isWhole(mirror) && because !== 'damaged' ? readState(mirror) : undefined;
  if (state === undefined) makeEmpty(mirror);
  const found = await readRefs(commonDir, signal);
  const refs = hashOf(found, head);
  const stamp = stampOf(repository, state?.settings);
  const settings = state?.settings.stamp === stamp ? state.settings : await projectSettings(repository, signal);
  const isCurrent = state?.refs === refs && state.settings === settings && state.commonDir === commonDir;
  copyInfo(commonDir, mirror);
  if (isCurrent && because === undefined) return;
  writeWhole(path.join(mirror, 'config'), configText(settings));
  // The objects first: a ref names no object that is not there.
  await linkObjects({
    from: path.join(commonDir, 'objects'),
    to: path.join(mirror, 'objects'),
    replace: because === 'damaged',
    ...(signal && { signal }),
  });
  await linkLargeFiles({ from: commonDir, to: mirror, replace: because === 'damaged', ...(signal && { signal }) });
  copyOrRemove(path.join(commonDir, 'shallow'), path.join(mirror, 'shallow'));
  writeWhole(path.join(mirror, 'packed-refs'), packedRefs(found.refs));
  const next: MirrorState = {
    commonDir,
    identity: identityOf(commonDir),
    refs,
    symbolic: Object.fromEntries(found.symbolic),
    settings,
  };
  writeWhole(path.join(mirror, STATE), JSON.stringify(next));
  if (!existsSync(topLevel)) throw new LonghaulError('project_missing', `${topLevel} was removed while it was read.`);
}

const PARTS = ['HEAD', 'config', 'objects', 'refs', 'packed-refs'];
const isWhole = (mirror: string): boolean => PARTS.every((name) => existsSync(path.join(mirror, name)));

function makeEmpty(mirror: string): void {
  mkdirSync(path.dirname(mirror), { recursive: true, mode: 0o700 });
  for (const name of ['objects/info', 'objects/pack', 'refs/heads', 'info', 'worktrees'])
    mkdirSync(path.join(mirror, name), { recursive: true });
  writeWhole(path.join(mirror, 'HEAD'), 'ref: refs/heads/main\n');
}

/** What the project ignores, and its attributes, beside those in the tree. */
function copyInfo(commonDir: string, mirror: string): void {
  for (const name of ['info/attributes', 'info/exclude']) {
    copyOrRemove(path.join(commonDir, name), path.join(mirror, name));
  }
}

function hashOf({ refs, symbolic }: ProjectRefs, head: string): string {
  const hash = createHash('sha256').update(head);
  for (const [name, value] of [...refs, ...symbolic]) hash.update(`\n${value} ${name}`);
  return hash.digest('hex');
}

export interface WhereFrom {
  readonly locksDir: string;
  readonly projectPath?: string | undefined;
  /** Of the worktree's record. */
  readonly known?: string | undefined;
  readonly worktreePath: string;
}

/**
 * The repository that has the worktree's entry: the mirror of the project, or the project itself, where an earlier version
 * made the worktree. undefined: neither the project nor the record nor the worktree names one.
 */
export function ownerOfWorktree({ locksDir, projectPath, known, worktreePath }: WhereFrom): string | undefined {
  const project = projectPath === undefined ? undefined : commonDirOf(projectPath);
  if (project !== undefined) {
    const mirror = findMirror(locksDir, project);
    if (known !== undefined) return known === mirror || known === project ? known : undefined;
    return [mirror, project].find((dir) => dir !== undefined && findEntry(dir, worktreePath) !== undefined) ?? project;
  }
  if (projectPath !== undefined) return known !== undefined && isMirror(locksDir, known) ? known : undefined;
  return known ?? borrowedFrom(locksDir, worktreePath) ?? entryOwner(worktreePath);
}

/** Of a worktree that borrows: the mirror of this home that its `.git` folder names. */
export function borrowedFrom(locksDir: string, worktreePath: string): string | undefined {
  const named = ifThere(() => readFileSync(alternatesOf(worktreePath), 'utf8'));
  const mirror = named === undefined ? undefined : path.dirname(named.split('\n', 1)[0] ?? '');
  return mirror !== undefined && isMirror(locksDir, mirror) ? mirror : undefined;
}

export const alternatesOf = (worktreePath: string): string => path.join(worktreePath, '.git/objects/info/alternates');

function entryOwner(worktreePath: string): string | undefined {
  const adminDir = adminDirOf(worktreePath);
  if (adminDir === undefined || adminDir === path.join(worktreePath, '.git')) return undefined;
  return ownCommonDirOf(worktreePath);
}
