/**
 * Frees the disk space that a mirror takes in addition to its project. A mirror keeps the packs that a `git gc` of the
 * user has replaced, and these packs are no longer shared with the project by hard links. Trimming writes the objects
 * of these packs that are still needed into one pack: the results of tasks, and what worktrees began from. Everything
 * else is in the project's present packs, which the mirror links.
 *
 * Must never happen: an object is removed that the project has now, that a ref of the mirror or an entry of a worktree
 * names, or that was among the refs with which a worktree started. Steps may work in the mirror meanwhile: loose
 * objects are not removed, a fetch protects its pack by a `.keep` file, and no entry is added without the mirror's
 * lock.
 */
import { lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { STARTING_REFS_FILE } from './borrow.ts';
import { git, gitText } from './git.ts';
import { readState } from './mirror.ts';
import { linkObjects } from './mirror-objects.ts';
import { isFolder, plainFile } from './plain-file.ts';
import { listEntries, orAbsentSync } from './repository.ts';
import { withLock } from './repository-lock.ts';

/** A mirror is trimmed if the packs that its project no longer has (`formerBytes`) take more than this. */
export const TRIM_ABOVE_BYTES = 100 * 1024 * 1024;
/** The file that names the packs of a trimmed mirror, which are not trimmed again. */
const TRIMMED = 'longhaul-trimmed';
/** Refs below this name exist only while a mirror is trimmed. They keep the objects that worktrees began from. */
const KEPT = 'refs/longhaul/kept';

export interface MirrorDisk {
  /** The bytes of the mirror's files that are not hard links to files of the project. */
  readonly ownBytes: number;
  /** The part of these bytes that is in packs that the project no longer has. */
  readonly formerBytes: number;
}

export function mirrorDisk(mirror: string): MirrorDisk {
  const files = filesBelow(path.join(mirror, 'objects'));
  const former = new Set(formerPacks(mirror));
  let [ownBytes, formerBytes] = [0, 0];
  for (const file of files) {
    const status = orAbsentSync(() => lstatSync(file));
    if (status === undefined || status.nlink > 1) continue;
    ownBytes += status.size;
    if (former.has(path.basename(file))) formerBytes += status.size;
  }
  return { ownBytes, formerBytes };
}

function filesBelow(folder: string): string[] {
  const found = orAbsentSync(() => readdirSync(folder, { recursive: true, withFileTypes: true })) ?? [];
  return found.filter((item) => item.isFile()).map((item) => path.join(item.parentPath, item.name));
}

const packsIn = (objects: string): string[] => orAbsentSync(() => readdirSync(path.join(objects, 'pack'))) ?? [];

/** The names of the mirror's pack files that the project lacks, without those that a trimming wrote. */
function formerPacks(mirror: string): string[] {
  const project = readState(mirror)?.commonDir;
  const known = new Set([
    ...(project === undefined ? [] : packsIn(path.join(project, 'objects'))),
    ...(plainFile(path.join(mirror, TRIMMED))?.toString('utf8').split('\n') ?? []),
  ]);
  return packsIn(path.join(mirror, 'objects')).filter((name) => !known.has(name));
}

/** Trims the mirror under its lock. Returns how many bytes became free. */
export function trimMirror(locksDir: string, mirror: string, signal?: AbortSignal): Promise<number> {
  return withLock({ locksDir, subject: mirror, ...(signal && { signal }) }, async () => {
    const before = mirrorDisk(mirror).ownBytes;
    const at = { cwd: mirror, ...(signal && { signal }) };
    const project = readState(mirror)?.commonDir;
    const from = project === undefined ? undefined : path.join(project, 'objects');
    if (from !== undefined && isFolder(from))
      await linkObjects({ from, to: path.join(mirror, 'objects'), replace: false, ...(signal && { signal }) });
    const marks = protect(mirror, from);
    try {
      await git(['update-ref', '--stdin'], { ...at, input: await keepGiven(mirror, signal) });
      await git(['repack', '-a', '-d', '-l', '-q'], at);
    } finally {
      for (const mark of marks) rmSync(mark, { force: true });
      const kept = await gitText(['for-each-ref', '--format=delete %(refname)', KEPT], { cwd: mirror });
      if (kept !== '') await git(['update-ref', '--stdin'], { cwd: mirror, input: `${kept}\n` });
    }
    writeFileSync(path.join(mirror, TRIMMED), formerPacks(mirror).join('\n'));
    return Math.max(before - mirrorDisk(mirror).ownBytes, 0);
  });
}

/**
 * Marks the packs that the mirror shares with its project, so that git does not store the objects of these packs a
 * second time. Returns the paths of the marks.
 */
function protect(mirror: string, from: string | undefined): string[] {
  const pack = path.join(mirror, 'objects/pack');
  // A `.keep` file with this text remains from a trimming that was killed. The `.keep` file of a running fetch contains
  // the pid of the fetch instead.
  for (const name of packsIn(path.join(mirror, 'objects')).filter((one) => one.endsWith('.keep')))
    if (readFileSync(path.join(pack, name), 'utf8') === MARK) rmSync(path.join(pack, name), { force: true });
  const shared = new Set(from === undefined ? [] : packsIn(from));
  const packs = packsIn(path.join(mirror, 'objects')).filter((name) => name.endsWith('.pack') && shared.has(name));
  return packs.map((name) => {
    const mark = path.join(pack, name.replace(/\.pack$/, '.keep'));
    writeFileSync(mark, MARK);
    return mark;
  });
}

const MARK = 'longhaul: a pack of the project\n';

/**
 * Returns the input for `git update-ref`: a ref for each commit that was among the refs of a worktree when it started.
 */
async function keepGiven(mirror: string, signal: AbortSignal | undefined): Promise<string> {
  const ids = new Set<string>();
  for (const { adminDir } of listEntries(mirror)) {
    const given = plainFile(path.join(adminDir, STARTING_REFS_FILE))?.toString('utf8') ?? '';
    for (const line of given.split('\n').filter(Boolean)) ids.add(line.split(' ', 1)[0] ?? '');
  }
  const input = [...ids].join('\n');
  const found = await gitText(['cat-file', '--batch-check=%(objectname)'], {
    cwd: mirror,
    input: `${input}\n`,
    ...(signal && { signal }),
  });
  const there = found.split('\n').filter((line) => /^[0-9a-f]{40,64}$/.test(line));
  return there.map((id) => `update ${KEPT}/${id} ${id}\n`).join('');
}
