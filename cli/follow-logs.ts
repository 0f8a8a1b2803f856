/**
 * Follows logs that are rotated while their writers have them open (services/supervisor/rotate-logs.ts): the beginning
 * of a log is moved to `<log>.1`, and the rest to the front of the file. `tail -F` treats the shortened log as a new
 * file and prints the rest again.
 *
 * Must never happen, if there is at most one rotation between two checks: a line is printed twice or not at all. Two
 * rotations need 32 MB within 200 ms.
 */
import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../contract/errors.ts';

const CHECK_MS = 200;
/**
 * The number of checks after which a log that became shorter counts as cut by a user. During a rotation, too, the log
 * may be shorter before `<log>.1` exists, but not for so many checks.
 */
const CUT_CHECKS = 10;
const BLOCK_BYTES = 64 * 1024;
/**
 * The number of bytes before the position that are compared with the bytes that were printed. Each line of a log
 * contains its time, so two different passages of this length are not equal.
 */
const TAIL_BYTES = 512;

/**
 * Follows the files until the signal is aborted. `print` gets the text of a file unchanged. If there are several files,
 * a line with the file's name precedes the text.
 */
export async function followLogs(
  files: readonly string[],
  {
    lines,
    signal,
    print,
  }: { readonly lines: number; readonly signal: AbortSignal; readonly print: (text: string) => void },
): Promise<void> {
  const logs = await Promise.all(files.map((file) => FollowedLog.open(file)));
  let shown: string | undefined;
  const show = (file: string, text: string): void => {
    if (text === '') return;
    const heading = files.length > 1 && shown !== file ? `${shown === undefined ? '' : '\n'}==> ${file} <==\n` : '';
    shown = file;
    print(heading + text);
  };
  for (const log of logs) show(log.file, await log.last(lines));
  while (!signal.aborted) {
    for (const log of logs) show(log.file, await log.added());
    // `sleep` rejects only when the signal is aborted, which ends the loop.
    await sleep(CHECK_MS, undefined, { signal }).catch(() => undefined);
  }
}

interface FileFacts {
  readonly ino: number;
  readonly size: number;
}

class FollowedLog {
  readonly file: string;
  #ino: number;
  /** The inode of `<log>.1`. A rotation replaces that file. */
  #rotated: number | undefined;
  /** The number of bytes of the file that were printed or skipped. */
  #position: number;
  /** The bytes before the position. If the file has other bytes there, its beginning was removed. */
  #tail: Buffer;
  #cutChecks = 0;

  private constructor(file: string, known: FileFacts, rotated: number | undefined, tail: Buffer) {
    this.file = file;
    this.#ino = known.ino;
    this.#rotated = rotated;
    this.#position = known.size;
    this.#tail = tail;
  }

  static async open(file: string): Promise<FollowedLog> {
    const rotated = await factsOf(`${file}.1`);
    const known = (await factsOf(file)) ?? { ino: 0, size: 0 };
    const tail = await readRange(file, Math.max(0, known.size - TAIL_BYTES), known.size);
    return new FollowedLog(file, known, rotated?.ino, tail);
  }

  /** Returns the last lines that the file had when it was opened. */
  async last(lines: number): Promise<string> {
    let text = Buffer.alloc(0);
    for (let from = this.#position; from > 0 && countLines(text) <= lines;) {
      const start = Math.max(0, from - BLOCK_BYTES);
      text = Buffer.concat([await readRange(this.file, start, from), text]);
      from = start;
    }
    const parts = text.toString().split(/(?<=\n)/);
    return parts.slice(Math.max(0, parts.length - lines)).join('');
  }

  async added(): Promise<string> {
    const now = await factsOf(this.file);
    if (!now) return '';
    const text = now.ino === this.#ino ? await this.#readOn(now.size) : undefined;
    if (text !== undefined) {
      this.#cutChecks = 0;
      this.#advance(text);
      return text.toString();
    }
    const rotated = await factsOf(`${this.file}.1`);
    if (rotated && rotated.ino !== this.#rotated) return this.#followInto(rotated, now.ino);
    if (++this.#cutChecks >= CUT_CHECKS) this.#startAt(now.ino, 0);
    return '';
  }

  /**
   * Returns the bytes after the position, or undefined if the bytes before the position are not those that were
   * printed.
   */
  async #readOn(size: number): Promise<Buffer | undefined> {
    const { length } = this.#tail;
    const read = await readRange(this.file, this.#position - length, Math.max(size, this.#position));
    if (!read.subarray(0, length).equals(this.#tail)) return undefined;
    // A rotation during the read may have moved the bytes after the tail. Then the bytes that were read are not used.
    const later = await factsOf(this.file);
    return later && later.ino === this.#ino && later.size >= size ? read.subarray(length) : undefined;
  }

  #advance(text: Buffer): void {
    this.#position += text.length;
    this.#tail = Buffer.from(Buffer.concat([this.#tail, text]).subarray(-TAIL_BYTES));
  }

  /**
   * Returns the text that was moved to `<log>.1` and not printed yet. Then sets the position to the same line in the
   * rest of the log.
   */
  async #followInto(rotated: FileFacts, ino: number): Promise<string> {
    const text = await readRange(`${this.file}.1`, this.#position, rotated.size);
    this.#rotated = rotated.ino;
    this.#startAt(ino, Math.max(0, this.#position - rotated.size));
    return text.toString();
  }

  #startAt(ino: number, position: number): void {
    this.#ino = ino;
    this.#position = position;
    this.#tail = position === 0 ? Buffer.alloc(0) : this.#tail.subarray(-position);
    this.#cutChecks = 0;
  }
}

async function factsOf(file: string): Promise<FileFacts | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/**
 * Returns the bytes of the file from `start` to `end`: fewer if the file ends before `end`, and none if the file does
 * not exist.
 */
async function readRange(file: string, start: number, end: number): Promise<Buffer> {
  if (end <= start) return Buffer.alloc(0);
  try {
    const handle = await open(file, 'r');
    try {
      const buffer = Buffer.alloc(end - start);
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return Buffer.alloc(0);
    throw error;
  }
}

const countLines = (text: Buffer): number => text.reduce((count, byte) => count + (byte === 10 ? 1 : 0), 0);
