/**
 * Warns about uncommitted edits in a user's checkout. The agent starts from a commit, so it does not see these edits.
 */
import { git } from './git.ts';
import { inspect } from './repository.ts';

export interface EditsRequest {
  /** The words with which the warning names the commit from which the agent starts. Default: the last commit. */
  readonly startsFrom?: string;
  readonly signal?: AbortSignal;
}

/**
 * Returns a warning for the user who submitted the task; undefined if everything is committed. It changes nothing in
 * the checkout.
 */
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
