/**
 * The mirror of a project: a bare repository in the home that has the project's objects, refs and settings (not its
 * hooks), and the results of tasks as refs of its own. Worktrees borrow the mirror's objects, so no step writes into
 * the project.
 *
 * Must never happen: a file of the project is written or locked; a ref of the mirror names an object that the mirror
 * has not linked yet; a result is dropped when the mirror is updated or repaired. A step that is killed does not change
 * the state file, so the next step updates the mirror again. An update starts one git process if the project's settings
 * have changed, otherwise none.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { LonghaulError } from '../contract/errors.ts';
import { copyOrRemove, writeWhole } from '../processes/whole-file.ts';
import { type FolderIdentity, identityOf, identitySchema } from './identity.ts';
import { formerOwner } from './former.ts';
import { linkLargeFiles, linkObjects } from './mirror-objects.ts';
import { packedRefsText, type ProjectRefs, readRefs } from './mirror-refs.ts';
import { mirrorConfigText, projectSettings, settingsSchema, settingsStamp } from './mirror-settings.ts';
import { isFolder, plainFile } from './plain-file.ts';
import { canonical, commonDirOf, findEntry, orAbsentSync, type Repository } from './repository.ts';
import { lockFileName, withLock } from './repository-lock.ts';

const STATE = 'longhaul.json';

const stateSchema = z.object({
  /** The project's git common directory. */
  commonDir: z.string(),
  /** The identity of that folder, by which the mirror of a moved project is found again. */
  identity: identitySchema,
  /** A hash of the refs and of the commit that is checked out. */
  refs: z.string(),
  symbolic: z.record(z.string(), z.string()),
  settings: settingsSchema,
});
export type MirrorState = z.infer<typeof stateSchema>;

/** Returns the folder of the home's mirrors. It is beside the folder of the locks. */
export const mirrorsDirOf = (locksDir: string): string => path.join(path.dirname(canonical(locksDir)), 'mirrors');

export const isMirror = (locksDir: string, commonDir: string): boolean =>
  path.dirname(commonDir) === mirrorsDirOf(locksDir);

/**
 * Returns the state that the last update of the mirror stored; undefined if the state file is missing or incomplete.
 */
export function readState(mirror: string): MirrorState | undefined {
  const text = orAbsentSync(() => readFileSync(path.join(mirror, STATE), 'utf8'));
  if (text === undefined) return undefined;
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (error) {
    // A power cut left the file incomplete. The mirror then counts as new and is updated.
    if (error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/**
 * Returns the name of the remote from which a partial clone fetches the objects that it lacks; undefined if the project
 * is not a partial clone.
 */
export function promisorOf(state: MirrorState | undefined): string | undefined {
  const { list = [], extensions = [] } = state?.settings ?? {};
  const named = extensions.find(([key]) => key === 'extensions.partialclone')?.[1];
  const isPromisor = list.find(([key, value]) => /^remote\..+\.promisor$/.test(key) && value !== 'false');
  return named ?? isPromisor?.[0].slice('remote.'.length, -'.promisor'.length);
}

export const listMirrors = (locksDir: string): string[] => {
  const dir = mirrorsDirOf(locksDir);
  const names = orAbsentSync(() => readdirSync(dir)) ?? [];
  return names.filter((name) => name.endsWith('.git')).map((name) => path.join(dir, name));
};

/** Returns the mirror of the project with this git common directory; undefined if there is none. */
export function findMirror(locksDir: string, commonDir: string): string | undefined {
  const usual = usualPlace(locksDir, commonDir);
  const state = readState(usual);
  if (state?.commonDir === commonDir || (state === undefined && existsSync(usual))) return usual;
  return (
    listMirrors(locksDir).find((mirror) => readState(mirror)?.commonDir === commonDir) ?? moved(locksDir, commonDir)
  );
}

const usualPlace = (locksDir: string, commonDir: string): string =>
  path.join(mirrorsDirOf(locksDir), `${lockFileName(commonDir)}.git`);

/** Returns the mirror whose project was moved to this folder. */
function moved(locksDir: string, commonDir: string): string | undefined {
  const identity = orAbsentSync(() => identityOf(commonDir));
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
   * The reason to update the mirror although no ref of the project has changed. `missing`: the mirror lacks an object
   * that the caller expects, such as a result that an earlier version stored in the project. `damaged`: all objects are
   * linked again, including those that the mirror already has.
   */
  readonly because?: 'missing' | 'damaged';
}

/**
 * Creates the project's mirror, or updates it to the project's present refs, checked-out commit and settings. Returns
 * the mirror's path.
 */
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
  const stamp = settingsStamp(repository, state?.settings);
  const settings = state?.settings.stamp === stamp ? state.settings : await projectSettings(repository, signal);
  const [config, packed] = [mirrorConfigText(settings), packedRefsText(found.refs)];
  const isCurrent =
    state?.refs === refs &&
    state.settings === settings &&
    state.commonDir === commonDir &&
    hasContent(path.join(mirror, 'config'), config) &&
    hasContent(path.join(mirror, 'packed-refs'), Buffer.from(packed));
  copyInfo(commonDir, mirror);
  if (isCurrent && because === undefined) return;
  writeWhole(path.join(mirror, 'config'), config);
  // Objects are linked before refs are written, so that no ref names a missing object.
  await linkObjects({
    from: path.join(commonDir, 'objects'),
    to: path.join(mirror, 'objects'),
    replace: because === 'damaged',
    ...(signal && { signal }),
  });
  await linkLargeFiles({ from: commonDir, to: mirror, replace: because === 'damaged', ...(signal && { signal }) });
  copyOrRemove(path.join(commonDir, 'shallow'), path.join(mirror, 'shallow'));
  writeWhole(path.join(mirror, 'packed-refs'), packed);
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

const HEAD = 'ref: refs/heads/main\n';

/**
 * Whether git finds a repository in the folder. Config and refs are not checked here: `bringUp` compares them with
 * those of the project.
 */
export const isWhole = (mirror: string): boolean =>
  ['objects', 'refs'].every((name) => isFolder(path.join(mirror, name))) &&
  hasContent(path.join(mirror, 'HEAD'), Buffer.from(HEAD));

const hasContent = (file: string, content: Buffer): boolean => plainFile(file)?.equals(content) === true;

function makeEmpty(mirror: string): void {
  mkdirSync(path.dirname(mirror), { recursive: true, mode: 0o700 });
  if (!isFolder(mirror)) rmSync(mirror, { force: true });
  for (const name of ['objects/info', 'objects/pack', 'refs/heads', 'info', 'worktrees'])
    mkdirSync(path.join(mirror, name), { recursive: true });
  writeWhole(path.join(mirror, 'HEAD'), HEAD);
}

/** Copies the ignore rules and attributes that the project keeps in its git folder and not in the tree. */
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

export interface OwnerLookup {
  readonly locksDir: string;
  readonly projectPath?: string | undefined;
  /** The repository and the project that the worktree's record names. */
  readonly record?: { readonly commonDir: string; readonly topLevel: string } | undefined;
  readonly worktreePath: string;
}

/**
 * Returns the repository that has the worktree's entry: the mirror, or the project itself if an earlier version created
 * the worktree. Returns undefined if neither the project nor the record nor the worktree names such a repository.
 */
export function ownerOfWorktree({ locksDir, projectPath, record, worktreePath }: OwnerLookup): string | undefined {
  const known = record?.commonDir;
  // The project may be damaged, or its mirror lost: the record is sufficient.
  if (known !== undefined && isMirror(locksDir, known) && canonical(projectPath ?? '') === record?.topLevel)
    return known;
  const project = projectPath === undefined ? undefined : commonDirOf(projectPath);
  if (project !== undefined) {
    const mirror = findMirror(locksDir, project);
    if (known !== undefined) return known === mirror || known === project ? known : undefined;
    return [mirror, project].find((dir) => dir !== undefined && findEntry(dir, worktreePath) !== undefined) ?? project;
  }
  if (projectPath !== undefined) return known !== undefined && isMirror(locksDir, known) ? known : undefined;
  return known ?? borrowedFrom(locksDir, worktreePath) ?? formerOwner(worktreePath);
}

/**
 * Returns the mirror from which the worktree's repository borrows objects; undefined if that repository names no mirror
 * of this home.
 */
export function borrowedFrom(locksDir: string, worktreePath: string): string | undefined {
  const named = plainFile(alternatesOf(worktreePath))?.toString('utf8');
  const mirror = named === undefined ? undefined : path.dirname(named.split('\n', 1)[0] ?? '');
  return mirror !== undefined && isMirror(locksDir, mirror) ? mirror : undefined;
}

export const alternatesOf = (worktreePath: string): string => path.join(worktreePath, '.git/objects/info/alternates');
