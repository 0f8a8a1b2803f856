/**
 * Keeps the branches that an agent created or moved in its own repository, because they would be removed with the
 * worktree. The mirror fetches them to `refs/longhaul/branches/<task>/`.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { STARTING_REFS_FILE } from './borrow.ts';
import type { Collection } from './collection.ts';
import { tryGit } from './git.ts';
import { readRefs } from './mirror-refs.ts';
import { orAbsentSync } from './repository.ts';

const NAMED_LIMIT = 5;
const KEPT_LIMIT = 100;
const HEADS = 'refs/heads/';

/**
 * Fetches the branches to the mirror. Returns a sentence that names them, or an empty list if the agent created or
 * moved none. Then it starts no git process.
 */
export async function keepBranches({ adminDir, commonDir, request, at }: Collection): Promise<string[]> {
  const given = orAbsentSync(() => readFileSync(path.join(adminDir, STARTING_REFS_FILE), 'utf8'));
  if (given === undefined) return [];
  const own = path.join(request.worktreePath, '.git');
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
  const fetched = await tryGit([...args, '--', own, ...wanted], { ...where, cwd: commonDir });
  const listed = `${names.slice(0, NAMED_LIMIT).join(', ')}${made.length > NAMED_LIMIT ? ` and ${made.length - NAMED_LIMIT} more` : ''}`;
  const [noun, verb] = made.length === 1 ? ['branch', 'is'] : ['branches', 'are'];
  if (fetched.exitCode !== 0)
    return [`The agent made ${noun} ${listed}, which git could not read: ${lastLine(fetched.stderr)}`];
  return [`The agent made ${noun} ${listed}, which ${verb} kept as ${prefix}/… in the mirror.`];
}

const lastLine = (stderr: string): string => stderr.trimEnd().split('\n').at(-1) ?? '';
