/**
 * What differs between two trees: a list of files, a patch to apply, a text to read. The list comes from
 * git's own list (git-diff-tree, "RAW OUTPUT" and --numstat), never from reading a patch. The plumbing
 * command and its options keep the user's diff settings out.
 */
import { LonghaulError } from '../workflows/errors.ts';
import { type GitOptions, git, gitError, tryGit } from './git.ts';

export interface ChangedFile {
  readonly path: string;
  /** Where it was, if it was renamed. */
  readonly oldPath?: string;
  readonly status: 'added' | 'modified' | 'deleted' | 'renamed' | 'type_changed';
  /** Lines; 0 for a binary file. */
  readonly additions: number;
  readonly deletions: number;
  readonly binary: boolean;
}

export interface TreeDiff {
  readonly from: string;
  readonly to: string;
  readonly files: ChangedFile[];
  /** Paths that became gitlinks. */
  readonly newGitlinks: string[];
  /** For applying: complete, binary files included, bytes as they are. */
  readonly patch: Buffer;
}

/** A patch is one value in the database, sent as hex: twice this. */
export const PATCH_LIMIT_BYTES = 100 * 1024 * 1024;
const READING_LIMIT_BYTES = 1024 * 1024;
const FORM = '--full-index --unified=3 --inter-hunk-context=0 --src-prefix=a/ --dst-prefix=b/ --submodule=short';
const DIFF_TREE = `diff-tree -r --find-renames -l1000 --no-color --no-ext-diff --no-textconv --ignore-submodules=none ${FORM}`;

/** undefined: the patch is larger than PATCH_LIMIT_BYTES. One git process. */
export async function diffTrees(from: string, to: string, at: GitOptions): Promise<TreeDiff | undefined> {
  const args = [...DIFF_TREE.split(' '), '-z', '--raw', '--numstat', '--patch', '--binary', from, to];
  const outcome = await tryGit(args, { ...at, maxStdoutBytes: PATCH_LIMIT_BYTES });
  if (outcome.truncated) return undefined;
  if (outcome.exitCode !== 0) throw gitError(args, at.cwd, outcome);
  return { from, to, ...parseTreeDiff(outcome.stdout) };
}

/** The patch for people: cut at 1 MB, binary files named only. One git process if there are binary files, else none. */
export async function readableDiff({ from, to, files, patch }: TreeDiff, at: GitOptions): Promise<string> {
  if (!files.some((file) => file.binary)) return readable(patch, READING_LIMIT_BYTES);
  // Without --binary git names them instead of spelling them out.
  const args = [...DIFF_TREE.split(' '), '--patch', from, to];
  return readable(await git(args, { ...at, maxStdoutBytes: READING_LIMIT_BYTES + 1 }), READING_LIMIT_BYTES);
}

const STATUS: Readonly<Record<string, ChangedFile['status']>> = {
  A: 'added',
  M: 'modified',
  D: 'deleted',
  R: 'renamed',
  T: 'type_changed',
};
const GITLINK = '160000';

/** Output of `git diff-tree -r -z --raw --numstat --patch`: the raw list, the same files with counts, an empty field, the patch. */
export function parseTreeDiff(output: Buffer): Omit<TreeDiff, 'from' | 'to'> {
  let at = 0;
  const field = (): string => {
    const end = output.indexOf(0, at);
    if (end < 0) throw new LonghaulError('internal_error', 'git diff-tree ended within its list of files.');
    const text = output.toString('utf8', at, end);
    at = end + 1;
    return text;
  };
  const raw: { letter: string; oldMode: string; newMode: string; oldPath: string; path: string }[] = [];
  while (output[at] === 0x3a /* : */) {
    const [oldMode = '', newMode = '', , , code = ''] = field().slice(1).split(' ');
    const oldPath = field();
    const letter = code[0] ?? '';
    raw.push({ letter, oldMode, newMode, oldPath, path: letter === 'R' ? field() : oldPath });
  }
  const files = raw.map(({ letter, oldPath, path }): ChangedFile => {
    const counts = field();
    const [additions = '', deletions = '', name = ''] = counts.split('\t');
    // A rename's counts end with an empty name; the two names follow as fields of their own.
    if (name === '' && letter === 'R') {
      field();
      field();
    }
    return {
      path,
      ...(letter === 'R' && { oldPath }),
      status: STATUS[letter] ?? 'modified',
      additions: Number(additions) || 0,
      deletions: Number(deletions) || 0,
      binary: additions === '-',
    };
  });
  const newGitlinks = raw.filter((one) => one.newMode === GITLINK && one.oldMode !== GITLINK).map((one) => one.path);
  return { files, newGitlinks, patch: output.subarray(output[at] === 0 ? at + 1 : at) };
}

/** For people: cut at `limitBytes`, at a line's end where there is one; bytes that are not UTF-8 become U+FFFD. */
export function readable(patch: Buffer, limitBytes: number): string {
  const whole = patch.length <= limitBytes;
  const lineEnd = whole ? patch.length : patch.lastIndexOf(0x0a, limitBytes - 1) + 1;
  const text = patch.toString('utf8', 0, lineEnd === 0 ? limitBytes : lineEnd).replaceAll('\0', '\uFFFD');
  return whole ? text : `${text.endsWith('\n') ? text : `${text}\n`}[cut here: the rest is in the stored commit]\n`;
}
