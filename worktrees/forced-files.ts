/**
 * Finds ignored files that an agent added by force (`git add -f`). The agent's index lists them, and they belong to the
 * change.
 */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Collection } from './collection.ts';
import { splitFields } from './file-path.ts';
import { tryGit } from './git.ts';
import { plainFile } from './plain-file.ts';

/**
 * Returns the paths of the ignored files that the agent's index lists. Returns an empty list if git cannot read that
 * index. Git does not read the settings of the agent's repository here.
 */
export async function forcedFiles({ adminDir, request, at }: Collection): Promise<Buffer[]> {
  const index = path.join(adminDir, 'longhaul-agent-index');
  const content = plainFile(path.join(request.worktreePath, '.git', 'index'));
  if (content === undefined) return [];
  writeFileSync(index, content);
  const env = { ...at.env, GIT_INDEX_FILE: index };
  const args = ['ls-files', '--cached', '--ignored', '--exclude-standard', '-z'];
  try {
    const listed = await tryGit(args, { ...at, env });
    return listed.exitCode === 0 ? splitFields(listed.stdout) : [];
  } finally {
    rmSync(index, { force: true });
  }
}
