/**
 * File paths from git for JSON. Git's paths are bytes and JSON contains text, so a path that is not UTF-8 gets two
 * fields: the quoted path for people, and its bytes.
 */
import { isUtf8 } from 'node:buffer';

export interface FilePath {
  /** The path as text. A path that is not UTF-8 is quoted as git does: `"caf\351.txt"`. */
  readonly path: string;
  /** The bytes of the path in base64; absent if `path` is not quoted. */
  readonly path_bytes?: string;
}

/** Converts the bytes of a path to the fields `path` and, if the path is not UTF-8, `path_bytes`. */
export function filePath(bytes: Buffer): FilePath {
  if (isUtf8(bytes)) return { path: bytes.toString('utf8') };
  return { path: quoted(bytes), path_bytes: bytes.toString('base64') };
}

const ESCAPES: Readonly<Record<number, string>> = {
  0x07: '\\a',
  0x08: '\\b',
  0x09: '\\t',
  0x0a: '\\n',
  0x0b: '\\v',
  0x0c: '\\f',
  0x0d: '\\r',
  0x22: '\\"',
  0x5c: '\\\\',
};

/** Quotes a path as git does (git-config, core.quotePath). */
export function quoted(bytes: Buffer): string {
  const text = [...bytes].map((byte) => {
    const plain = byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`;
    return ESCAPES[byte] ?? plain;
  });
  return `"${text.join('')}"`;
}

/** Splits git's NUL-separated output into fields, without the empty field after the last NUL. */
export function splitFields(output: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  let at = 0;
  for (let end = output.indexOf(0); end >= 0; end = output.indexOf(0, at)) {
    fields.push(output.subarray(at, end));
    at = end + 1;
  }
  return fields;
}
