/**
 * Finds symbolic links that a change replaces with a folder and that no program can follow. `git apply` checks whether
 * the folder's new files exist before it removes the link. If that check fails with anything but "does not exist" (the
 * link leads to itself: ELOOP; to a name that is too long: ENAMETOOLONG), git refuses the whole patch (seen with git
 * 2.39).
 *
 * This module reads only git's tree. A link that leads out of the tree, or into a submodule, counts as a link that can
 * be followed. If `git apply` cannot follow it, git itself refuses the patch.
 */
import { filePath, splitFields } from './file-path.ts';
import { type GitOptions, git } from './git.ts';
import { bytesOf, type ChangedFile, LINK_MODE, oldPathOf } from './tree-diff.ts';

/** The most links that Linux follows on one path (MAXSYMLINKS). */
const FOLLOWED_LIMIT = 40;
/** The longest name, in bytes, on the file systems in use (NAME_MAX). */
const NAME_LIMIT_BYTES = 255;
const FOLDER = '040000';

/**
 * What the tree contains at a path: a folder, a file or a link. Paths and targets are latin1 text, one character for
 * each byte.
 */
type Entry =
  { readonly kind: 'folder' } | { readonly kind: 'file' } | { readonly kind: 'link'; readonly target: string };
type Tree = ReadonlyMap<string, Entry>;

/**
 * Returns the paths of the links in the tree `base` that the change replaces with a folder and that `git apply` cannot
 * check, as text for a message. Starts git (twice) only if a folder replaces a link.
 */
export async function unfollowableLinks(
  base: string,
  files: readonly ChangedFile[],
  at: GitOptions,
): Promise<string[]> {
  const added = files.filter(({ status }) => status !== 'deleted').map((file) => bytesOf(file).toString('latin1'));
  const replaced = files
    .filter((file) => file.old_mode === LINK_MODE)
    .map((file) => (file.status === 'renamed' ? oldPathOf(file) : bytesOf(file)).toString('latin1'))
    .map((link) => ({ link, below: added.filter((path) => path.startsWith(`${link}/`)) }))
    .filter(({ below }) => below.length > 0);
  if (replaced.length === 0) return [];
  const tree = await readTree(base, at);
  return replaced
    .filter(({ below }) => below.some((path) => !canLookAt(path, tree)))
    .map(({ link }) => filePath(Buffer.from(link, 'latin1')).path);
}

async function readTree(base: string, at: GitOptions): Promise<Tree> {
  const tree = new Map<string, Entry>();
  const links: { readonly path: string; readonly id: string }[] = [];
  // Format: <mode> <type> <id> TAB <path>
  for (const entry of splitFields(await git(['ls-tree', '-r', '-t', '-z', base], at))) {
    const tab = entry.indexOf(0x09);
    const [mode, , id = ''] = entry.toString('latin1', 0, tab).split(' ');
    const path = entry.toString('latin1', tab + 1);
    if (mode === LINK_MODE) links.push({ path, id });
    else tree.set(path, { kind: mode === FOLDER ? 'folder' : 'file' });
  }
  const targets = await readBlobs(
    links.map(({ id }) => id),
    at,
  );
  for (const [index, { path }] of links.entries()) tree.set(path, { kind: 'link', target: targets[index] ?? '' });
  return tree;
}

/** Reads the blobs. `cat-file` prints them in the order of the ids: <id> blob <size> LF <content> LF. */
async function readBlobs(ids: readonly string[], at: GitOptions): Promise<string[]> {
  const output = await git(['cat-file', '--batch'], { ...at, input: `${ids.join('\n')}\n` });
  let start = 0;
  return ids.map(() => {
    const lineEnd = output.indexOf(0x0a, start);
    const size = Number(output.toString('latin1', start, lineEnd).split(' ')[2]);
    start = lineEnd + 1 + size + 1;
    return output.toString('latin1', lineEnd + 1, lineEnd + 1 + size);
  });
}

/**
 * Whether `git apply` can check this path: lstat() succeeds, or fails with "does not exist". The path is resolved as
 * the kernel does (path_resolution(7)).
 */
function canLookAt(path: string, tree: Tree): boolean {
  const rest = path.split('/');
  const done: string[] = [];
  let followed = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (done.pop() === undefined) return true;
      continue;
    }
    if (name.length > NAME_LIMIT_BYTES) return false;
    const here = [...done, name].join('/');
    const entry = tree.get(here);
    if (entry === undefined || entry.kind === 'file') return true;
    if (entry.kind === 'folder') {
      done.push(name);
      continue;
    }
    if (rest.length === 0) return true; // lstat() does not follow the last link of a path.
    followed += 1;
    if (followed > FOLLOWED_LIMIT) return false;
    if (entry.target.startsWith('/')) return true;
    rest.unshift(...entry.target.split('/'));
  }
  return true;
}
