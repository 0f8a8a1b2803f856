/**
 * Serves the agent's file requests, confined to its worktree by real path: a link that leads out of the worktree counts
 * as outside. `.git` is read-only, because a hook or a config that an agent wrote there would run as the user.
 *
 * Not covered: an agent that replaces a directory by a link between the check and the write. Such an agent has a shell
 * anyway.
 */
import { RequestError } from '@agentclientprotocol/sdk/unstable';
import { randomUUID } from 'node:crypto';
import { mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { isErrno } from '../../contract/errors.ts';

const READ_LIMIT_BYTES = 16 * 1024 * 1024;

/** gemini treats a new file as an error unless the answer looks like ENOENT. */
function notFound(path: string): RequestError {
  return new RequestError(-32002, `Resource not found: ENOENT: no such file or directory, open '${path}'`, {
    code: 'ENOENT',
    uri: path,
  });
}

const refused = (why: string): RequestError => new RequestError(-32602, `Refused: ${why}`);

/** Returns the path relative to `root`, or `undefined` if it is outside of `root`. */
function innerPath(root: string, real: string): string | undefined {
  const inner = relative(root, real);
  return inner === '..' || inner.startsWith(`..${sep}`) || isAbsolute(inner) ? undefined : inner;
}

function assertInside(root: string, real: string, asked: string): void {
  if (innerPath(root, real) === undefined) throw refused(`${asked} is outside of the worktree ${root}`);
}

/** Returns the real path of the deepest existing part, and the names below it that do not exist. */
async function realTarget(path: string): Promise<{ real: string; missing: string[] }> {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    try {
      return { real: await realpath(at), missing };
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR') || dirname(at) === at) throw refused(`${path}: ${String(error)}`);
      missing.unshift(basename(at));
    }
  }
}

/**
 * Returns the real path relative to the worktree, for a path that may not exist yet. Returns `undefined` if the path is
 * outside of the worktree, belongs to git, or has a part `..`, whose meaning depends on links.
 */
export async function pathInside(root: string, asked: string): Promise<string | undefined> {
  if (asked === '' || asked.includes('\0') || asked.split(sep).includes('..')) return undefined;
  const target = await realTarget(resolve(root, asked)).catch(() => undefined);
  const inner = target && innerPath(root, join(target.real, ...target.missing));
  const isGit = inner?.split(sep).some((name) => name.toLowerCase() === '.git');
  return inner === undefined || isGit ? undefined : inner;
}

export interface WorktreeFiles {
  read(path: string, range?: { line?: number | null; limit?: number | null }): Promise<string>;
  write(path: string, content: string): Promise<void>;
}

async function readRegular(path: string, asked: string): Promise<string> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw isErrno(error, 'ENOENT') ? notFound(asked) : error;
  });
  try {
    const facts = await file.stat();
    if (facts.size > READ_LIMIT_BYTES) throw refused(`${asked} has ${facts.size} bytes, more than ${READ_LIMIT_BYTES}`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Returns at most `limit` lines with their line ends, from `line` on (counted from 1). */
function cutLines(text: string, line: number, limit: number): string {
  const lines = text.split(/(?<=\n)/);
  return lines.slice(Math.max(0, line - 1), Math.max(0, line - 1) + limit).join('');
}

/** Replaces the file atomically: readers see the old or the new content, never a part. The file keeps its mode. */
async function replaceFile(path: string, content: string): Promise<void> {
  const before = await stat(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (before !== undefined && !before.isFile()) throw refused(`${path} is not a regular file`);
  const draft = join(dirname(path), `.${basename(path).slice(0, 60)}.${randomUUID()}`);
  try {
    const file = await open(draft, 'wx', 0o666);
    try {
      await file.writeFile(content);
      if (before !== undefined) await file.chmod(before.mode & 0o7777);
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Returns the functions that serve the file requests of one agent. `root` is the real path of the worktree. */
export function worktreeFiles(root: string): WorktreeFiles {
  const locate = async (asked: string): Promise<{ real: string; missing: string[] }> => {
    if (asked === '' || asked.includes('\0')) throw refused('expected a path, found an empty one or a NUL character');
    const target = await realTarget(resolve(root, asked));
    assertInside(root, target.real, asked);
    return target;
  };
  return {
    async read(asked, range = {}) {
      const { real, missing } = await locate(asked);
      if (missing.length > 0) throw notFound(asked);
      if (!(await stat(real)).isFile()) throw refused(`${asked} is not a regular file`);
      const text = await readRegular(real, asked);
      const { line, limit } = range;
      return line == null && limit == null ? text : cutLines(text, line ?? 1, limit ?? Number.MAX_SAFE_INTEGER);
    },
    async write(asked, content) {
      const { real, missing } = await locate(asked);
      const path = join(real, ...missing);
      if (path === root) throw refused(`${asked} is the worktree itself`);
      const names = relative(root, path).split(sep);
      if (names.some((name) => name.toLowerCase() === '.git')) throw refused(`${asked} belongs to git`);
      await mkdir(dirname(path), { recursive: true });
      await replaceFile(path, content);
    },
  };
}
