/** What a user's checkout holds beyond its commit: an agent, which starts from a commit, does not see it. */
import { git } from './git.ts';
import { inspect } from './repository.ts';

export interface EditsRequest {
  /** Where the agent starts, in words. Default: the last commit. */
  readonly startsFrom?: string;
  readonly signal?: AbortSignal;
}

/** A sentence for the person who asked for the task; undefined: all is committed. Reads the checkout only. */
export async function uncommittedEdits(
  projectPath: string,
  { startsFrom = 'the last commit', signal }: EditsRequest = {},
): Promise<string | undefined> {
  const options = { ...(signal && { signal }) };
  const { topLevel } = await inspect(projectPath, options);
  const status = await git(['status', '--porcelain', '-z', '--no-renames', '--untracked-files=normal'], {
    cwd: topLevel,
    maxStdoutBytes: 1024 * 1024,
    ...options,
  });
  if (status.length === 0) return undefined;
  const count = status.toString('latin1').split('\0').length - 1;
  const edits = count === 1 ? '1 uncommitted edit' : `${count} uncommitted edits`;
  return `The checkout in ${topLevel} has ${edits}: not included, the agent starts from ${startsFrom}.`;
}
