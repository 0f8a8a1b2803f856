/**
 * Makes patches applicable whose file names have a space before a slash. For a file without changed lines (binary,
 * empty, or a change of mode) `git apply` reads the name from `diff --git a/x b/x`. Git writes such a name unquoted but
 * cannot read it: `git apply` fails with "lacks filename information" (seen with git 2.39) and applies nothing. `git
 * apply` can read the same name in quotes.
 */
import { quoted } from './file-path.ts';

const START = Buffer.from('diff --git ');
const A = Buffer.from('a/');
const B = Buffer.from('b/');
const BLANK = Buffer.from(' ');
const END = Buffer.from('\n');
const NEWLINE = 0x0a;

export interface RenamedPath {
  readonly oldPath: Buffer;
  readonly path: Buffer;
}

/** Returns the patch with such names in quotes. A line of file content cannot begin like a header. */
export function quoteHeaders(patch: Buffer, files: readonly RenamedPath[]): Buffer {
  return files.filter(({ oldPath, path }) => oldPath.includes(' /') || path.includes(' /')).reduce(quoteHeader, patch);
}

function quoteHeader(patch: Buffer, { oldPath, path }: RenamedPath): Buffer {
  const [from, to] = [Buffer.concat([A, oldPath]), Buffer.concat([B, path])];
  const plain = Buffer.concat([START, from, BLANK, to, END]);
  const better = Buffer.concat([START, Buffer.from(quoted(from)), BLANK, Buffer.from(quoted(to)), END]);
  const parts: Buffer[] = [];
  let done = 0;
  for (let at = patch.indexOf(plain); at >= 0; at = patch.indexOf(plain, at + 1)) {
    if (at > 0 && patch[at - 1] !== NEWLINE) continue;
    parts.push(patch.subarray(done, at), better);
    done = at + plain.length;
  }
  return parts.length === 0 ? patch : Buffer.concat([...parts, patch.subarray(done)]);
}
