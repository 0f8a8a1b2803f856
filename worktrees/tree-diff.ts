/**
 * The difference between two trees: a list of files, a patch to apply, and a text to read. The list comes from git's
 * own list (git-diff-tree, "RAW OUTPUT" and --numstat), never from parsing a patch. The plumbing command and its
 * options keep the user's diff settings from changing the output.
 */
import { LonghaulError } from '../contract/errors.ts';
import { decodeHead } from '../contract/cut-text.ts';
import { DIFF_CUT_LINE } from '../contract/vocabulary.ts';
import { type FilePath, filePath } from './file-path.ts';
import { type GitOptions, git, gitError, tryGit } from './git.ts';
import { quoteHeaders } from './patch-headers.ts';

/** A file in `pending_changes.files`. */
export interface ChangedFile extends FilePath {
  /** The former path of a renamed file. Rows that earlier versions wrote also have it as `oldPath`. */
  readonly old_path?: string;
  readonly old_path_bytes?: string;
  /**
   * The former mode in octal, as git has it: 100644, 100755 (executable), 120000 (link), 160000 (submodule). Absent if
   * the file did not exist.
   */
  readonly old_mode?: string;
  readonly new_mode?: string;
  readonly status: 'added' | 'modified' | 'deleted' | 'renamed' | 'type_changed';
  /** Number of added lines; 0 for a binary file. */
  readonly additions: number;
  readonly deletions: number;
  readonly binary: boolean;
}

export interface TreeDiff {
  readonly from: string;
  readonly to: string;
  readonly form: Form;
  readonly files: ChangedFile[];
  /** The paths at which the new tree has a gitlink (a pointer to a commit, mode 160000) and the old tree has none. */
  readonly newGitlinks: Buffer[];
  /** The patch for `git apply`: complete, including binary files, with bytes unchanged. */
  readonly patch: Buffer;
}

/** The largest patch. A patch is one value in the database and is sent as hex, which takes twice this size. */
export const PATCH_LIMIT_BYTES = 100 * 1024 * 1024;
const READING_LIMIT_BYTES = 1024 * 1024;
const FORM = '--full-index --unified=3 --inter-hunk-context=0 --src-prefix=a/ --dst-prefix=b/ --submodule=short';
const DIFF_TREE = `diff-tree -r --find-renames -l1000 --no-color --no-ext-diff --no-textconv --ignore-submodules=none ${FORM}`;

/** The options of git's diff that vary; `plain` is used unless the paths need other options. */
interface Form {
  /**
   * Whether names with characters beyond ASCII are quoted, because names that are not UTF-8 would be damaged if the
   * output is read as text.
   */
  readonly quoted: boolean;
  readonly renames: boolean;
}

/**
 * Returns the difference of the two trees, or undefined if the patch is larger than PATCH_LIMIT_BYTES. Starts one git
 * process, or two if the plain form is not sufficient.
 */
export async function diffTrees(from: string, to: string, at: GitOptions): Promise<TreeDiff | undefined> {
  const plain = { quoted: false, renames: true };
  const found = await diffOnce(from, to, { ...at, form: plain });
  if (!found) return undefined;
  const form = { quoted: found.files.some(isQuoted), renames: !hidesLink(found.files) };
  const again = form.quoted || !form.renames ? await diffOnce(from, to, { ...at, form }) : found;
  return again && { from, to, form, ...again };
}

type Found = Omit<TreeDiff, 'from' | 'to' | 'form'>;
type Asked = GitOptions & { readonly form: Form };

async function diffOnce(from: string, to: string, asked: Asked): Promise<Found | undefined> {
  const args = [...argsOf(asked), '-z', '--raw', '--numstat', '--patch', '--binary', from, to];
  const outcome = await tryGit(args, { ...optionsOf(asked), maxStdoutBytes: PATCH_LIMIT_BYTES });
  if (outcome.truncated) return undefined;
  if (outcome.exitCode !== 0) throw gitError(args, asked.cwd, outcome);
  return parseTreeDiff(outcome.stdout);
}

const argsOf = ({ form }: Asked): string[] => [...DIFF_TREE.split(' '), ...(form.renames ? [] : ['--no-renames'])];
const optionsOf = ({ form, ...at }: Asked): GitOptions =>
  form.quoted ? { ...at, settings: { ...at.settings, 'core.quotePath': 'true' } } : at;

const isQuoted = (file: ChangedFile): boolean => file.path_bytes !== undefined || file.old_path_bytes !== undefined;

/**
 * Whether a link was renamed and a folder took its place. The rename in a patch does not say that the file is a link, so
 * `git apply` takes the folder's files for files behind a link that still exists, and refuses the patch (seen with git
 * 2.39).
 */
function hidesLink(files: readonly ChangedFile[]): boolean {
  const links = files.filter((file) => file.status === 'renamed' && file.old_mode === LINK_MODE).map(oldPathOf);
  return links.some((link) =>
    files.some((file) =>
      bytesOf(file)
        .subarray(0, link.length + 1)
        .equals(asFolder(link)),
    ),
  );
}

/** Returns the bytes of the path. A path without `path_bytes` is UTF-8. */
export const bytesOf = ({ path, path_bytes: bytes }: FilePath): Buffer =>
  bytes === undefined ? Buffer.from(path) : Buffer.from(bytes, 'base64');
/** Returns the bytes of the path that a renamed file had before. */
export const oldPathOf = ({ old_path: path = '', old_path_bytes: bytes }: ChangedFile): Buffer =>
  bytesOf({ path, ...(bytes !== undefined && { path_bytes: bytes }) });
const asFolder = (path: Buffer): Buffer => Buffer.concat([path, Buffer.from('/')]);

/**
 * Returns the patch for people: cut at 1 MB, with binary files only named. Starts one git process if there are binary
 * files, otherwise none.
 */
export async function readableDiff({ from, to, form, files, patch }: TreeDiff, at: GitOptions): Promise<string> {
  if (!files.some((file) => file.binary)) return readable(patch, READING_LIMIT_BYTES);
  // Without --binary git only names binary files instead of printing their content.
  const asked = { ...at, form, maxStdoutBytes: READING_LIMIT_BYTES + 1 };
  return readable(await git([...argsOf(asked), '--patch', from, to], optionsOf(asked)), READING_LIMIT_BYTES);
}

const STATUS: Readonly<Record<string, ChangedFile['status']>> = {
  A: 'added',
  M: 'modified',
  D: 'deleted',
  R: 'renamed',
  T: 'type_changed',
};
const GITLINK = '160000';
export const LINK_MODE = '120000';
const NO_FILE = '000000';

interface RawEntry {
  readonly letter: string;
  readonly oldMode: string;
  readonly newMode: string;
  readonly oldPath: Buffer;
  readonly path: Buffer;
}

/**
 * Parses the output of `git diff-tree -r -z --raw --numstat --patch`: the raw list, the same files with counts, an
 * empty field, the patch.
 */
function parseTreeDiff(output: Buffer): Found {
  let at = 0;
  const field = (): Buffer => {
    const end = output.indexOf(0, at);
    if (end < 0) throw new LonghaulError('internal_error', 'git diff-tree ended within its list of files.');
    const bytes = output.subarray(at, end);
    at = end + 1;
    return bytes;
  };
  const raw: RawEntry[] = [];
  while (output[at] === 0x3a /* : */) {
    const [oldMode = '', newMode = '', , , code = ''] = field().toString('latin1').slice(1).split(' ');
    const oldPath = field();
    const letter = code[0] ?? '';
    raw.push({ letter, oldMode, newMode, oldPath, path: letter === 'R' ? field() : oldPath });
  }
  const files = raw.map((entry): ChangedFile => {
    const [additions = '', deletions = '', name = ''] = field().toString('latin1').split('\t');
    // The counts of a renamed file end with an empty name, and both names follow as separate fields.
    if (name === '' && entry.letter === 'R') {
      field();
      field();
    }
    return changedFile(entry, additions, deletions);
  });
  const newGitlinks = raw.filter((one) => one.newMode === GITLINK && one.oldMode !== GITLINK).map((one) => one.path);
  const patch = output.subarray(output[at] === 0 ? at + 1 : at);
  return { files, newGitlinks, patch: quoteHeaders(patch, raw) };
}

function changedFile(entry: RawEntry, additions: string, deletions: string): ChangedFile {
  const { letter, oldMode, newMode } = entry;
  const old = letter === 'R' ? filePath(entry.oldPath) : undefined;
  return {
    ...filePath(entry.path),
    ...(old && { old_path: old.path }),
    ...(old?.path_bytes !== undefined && { old_path_bytes: old.path_bytes }),
    status: STATUS[letter] ?? 'modified',
    ...(oldMode !== NO_FILE && { old_mode: oldMode }),
    ...(newMode !== NO_FILE && { new_mode: newMode }),
    additions: Number(additions) || 0,
    deletions: Number(deletions) || 0,
    binary: additions === '-',
  };
}

/**
 * Returns the patch as text, cut at `limitBytes`, at the end of a line if there is one. Bytes that are not UTF-8 become
 * U+FFFD.
 */
function readable(patch: Buffer, limitBytes: number): string {
  if (patch.length <= limitBytes) return patch.toString('utf8').replaceAll('\0', '\uFFFD');
  const lineEnd = patch.lastIndexOf(0x0a, limitBytes - 1) + 1;
  const text = decodeHead(patch.subarray(0, lineEnd === 0 ? limitBytes : lineEnd)).replaceAll('\0', '\uFFFD');
  return `${text.endsWith('\n') ? text : `${text}\n`}${DIFF_CUT_LINE}\n`;
}
