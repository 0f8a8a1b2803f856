/**
 * Prints the patch of a change for `git apply`. `git apply` must apply the whole change. So a patch of which git would
 * skip a part, or which git would reject, is never printed; the command prints the reason instead.
 */
import { EXIT } from './exit.ts';
import { harmless } from './terminal.ts';

export interface PatchSource {
  /** Null if the change was stored without a patch. */
  readonly patch: Buffer | null;
  readonly diff: string;
  readonly diff_truncated: boolean;
  readonly files: readonly unknown[];
  /** Symbolic links that the change replaces by folders. Git cannot apply such a change. */
  readonly unfollowableLinks: readonly string[];
  /** The arguments with which `git cherry-pick` applies the same change. Null if no commits contain it. */
  readonly commits: string | null;
  /** The id of the task whose result contains all these commits, for `longhaul fetch`. */
  readonly task: string;
}

/** Prints the patch, or the reason of the refusal, and returns the exit code. */
export async function printPatch(source: PatchSource): Promise<number> {
  const refusal = refusalOf(source);
  if (refusal !== undefined) return refuse(refusal);
  await written(source.patch ?? Buffer.from(source.diff));
  return EXIT.done;
}

/** Prints on stderr why there is no patch to print, and returns the exit code. */
export function refuse(sentence: string): number {
  process.stderr.write(`longhaul: ${harmless(sentence)}\n`);
  return EXIT.taskFailed;
}

function refusalOf(source: PatchSource): string | undefined {
  const reason = reasonAgainst(source);
  if (reason === undefined) return undefined;
  const { commits, task } = source;
  const recipe =
    commits === null
      ? ''
      : ` To take the change, run: longhaul fetch ${task} && git cherry-pick --no-commit ${commits}`;
  return `${reason} Nothing was printed.${recipe}`;
}

function reasonAgainst({ patch, diff, diff_truncated, files, unfollowableLinks }: PatchSource): string | undefined {
  if (patch === null && diff === '') return 'The change was stored without its patch and without its diff.';
  if (patch === null && (diff_truncated || diff.includes('\uFFFD') || /^Binary files .* differ$/m.test(diff))) {
    return 'The change was stored without its patch, and its stored diff is incomplete.';
  }
  if (unfollowableLinks.length > 0) {
    const links = `the symbolic link ${unfollowableLinks.join(', ')} by a folder, and git cannot follow that link`;
    return `git apply would refuse this change: it replaces ${links}.`;
  }
  if (!movesSubmodule(patch ?? Buffer.from(diff))) return undefined;
  const names = submodulesIn(files).join(', ') || 'a submodule';
  return `The change moves ${names} to another commit, and git apply would skip that without a message.`;
}

/** Matches only headers of a patch, because lines of content begin with a blank, + or -. */
const GITLINK = /(?:^|\n)(?:index [0-9a-f]+\.\.[0-9a-f]+|(?:new file|deleted file|old|new) mode) 160000\n/;

function movesSubmodule(patch: Buffer): boolean {
  return patch.includes(' 160000\n') && GITLINK.test(patch.toString('latin1'));
}

function submodulesIn(files: readonly unknown[]): string[] {
  return files.flatMap((file) => {
    if (typeof file !== 'object' || file === null) return [];
    const { path, old_mode, new_mode } = file as Record<string, unknown>;
    return typeof path === 'string' && (old_mode === '160000' || new_mode === '160000') ? [path] : [];
  });
}

function written(bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
