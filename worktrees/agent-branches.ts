/**
 * Keeps the branches that an agent created or moved in its own repository. Otherwise these branches would be removed
 * together with the worktree. The mirror fetches them to `refs/longhaul/branches/<task>/`.
 */
import { lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { STARTING_REFS_FILE } from './borrow.ts';
import { LonghaulError, messageOf } from '../contract/errors.ts';
import type { Collection } from './collection.ts';
import { tryGit } from './git.ts';
import { readRefs } from './mirror-refs.ts';
import { isFolder } from './plain-file.ts';
import { orAbsentSync } from './repository.ts';

const NAMED_LIMIT = 5;
const KEPT_LIMIT = 100;
const HEADS = 'refs/heads/';
/** The time limit of the fetch. In a repository that its agent has damaged, git may never exit. */
const FETCH_DEADLINE_MS = 60_000;

/**
 * Fetches the branches to the mirror. Returns a sentence that names them. If the agent created or moved none, it
 * returns an empty list and starts no git process.
 */
export async function keepBranches({ adminDir, commonDir, request, at }: Collection): Promise<string[]> {
  const given = orAbsentSync(() => readFileSync(path.join(adminDir, STARTING_REFS_FILE), 'utf8'));
  if (given === undefined) return [];
  const own = path.join(request.worktreePath, '.git');
  if (!isReadable(own)) return [];
  try {
    return await keep({ own, given, request, commonDir, at });
  } catch (error) {
    // The agent may have changed anything in its repository, so a failure here is only reported. The files of the
    // worktree are already stored.
    if (request.signal?.aborted === true || !(isSystemError(error) || error instanceof LonghaulError)) throw error;
    return [`The branches that the agent made could not be read: ${messageOf(error)}`];
  }
}

/**
 * Whether the agent's `.git` is a repository in which git neither follows a link to the outside nor waits for a pipe.
 */
const isReadable = (own: string): boolean =>
  ['', 'objects', 'refs'].every((name) => isFolder(path.join(own, name))) &&
  ['HEAD', 'config', 'packed-refs', 'shallow', 'objects/info/alternates'].every((name) => {
    const status = orAbsentSync(() => lstatSync(path.join(own, name)));
    return status === undefined || status.isFile();
  });

const isSystemError = (error: unknown): boolean => error instanceof Error && 'syscall' in error;

interface Keep extends Pick<Collection, 'request' | 'commonDir' | 'at'> {
  readonly own: string;
  readonly given: string;
}

async function keep({ own, given, request, commonDir, at }: Keep): Promise<string[]> {
  const known = new Set(given.split('\n'));
  const { refs } = await readRefs(own, request.signal);
  const made = [...refs].filter(([name, value]) => name.startsWith(HEADS) && !known.has(`${value} ${name}`));
  if (made.length === 0) return [];
  const names = made.slice(0, KEPT_LIMIT).map(([name]) => name.slice(HEADS.length));
  const prefix = request.ref.replace(/^refs\/longhaul\/\w+\//, 'refs/longhaul/branches/');
  const wanted = names.map((name) => `+${HEADS}${name}:${prefix}/${name}`);
  const args = [
    'fetch',
    '--quiet',
    '--no-tags',
    '--no-recurse-submodules',
    '--no-write-fetch-head',
    '--no-auto-maintenance',
    '--update-shallow',
  ];
  const { env: _, ...where } = at;
  const fetched = await tryGit([...args, '--', own, ...wanted], {
    ...where,
    cwd: commonDir,
    deadlineMs: FETCH_DEADLINE_MS,
  });
  const listed = `${names.slice(0, NAMED_LIMIT).join(', ')}${made.length > NAMED_LIMIT ? ` and ${made.length - NAMED_LIMIT} more` : ''}`;
  const [noun, verb] = made.length === 1 ? ['branch', 'is'] : ['branches', 'are'];
  if (fetched.exitCode !== 0)
    return [`The agent made ${noun} ${listed}, which git could not read: ${lastLine(fetched.stderr)}`];
  return [`The agent made ${noun} ${listed}, which ${verb} kept as ${prefix}/… in the mirror.`];
}

const lastLine = (stderr: string): string => stderr.trimEnd().split('\n').at(-1) ?? '';
