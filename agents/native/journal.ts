/**
 * Stores a native session on disk: `<folder>/<session id>.jsonl`, append-only, one record a line.
 *
 * Must never happen: the agent acts on a record, and a kill or a power cut loses the record. So `append` syncs each
 * record before it returns. A kill during an append leaves an incomplete last line. The agent has not acted on that
 * line, so the next start removes it. Not covered: two processes that append to one session. Longhaul ends an earlier
 * agent before it starts the next one.
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../contract/errors.ts';
import type { JournalRecord } from './records.ts';

const KEPT_MS = 30 * 24 * 60 * 60 * 1000;
const SESSION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const NEWLINE = 0x0a;

export class Journal {
  readonly id: string;
  readonly cwd: string;
  /**
   * The file beside the journal that holds the new content of a file before it is renamed. A kill leaves the draft, and
   * the next edit overwrites it.
   */
  readonly draft: string;
  readonly #fd: number;
  readonly #records: JournalRecord[];

  private constructor(
    fd: number,
    records: JournalRecord[],
    { folder, id, cwd }: { folder: string; id: string; cwd: string },
  ) {
    this.#fd = fd;
    this.#records = records;
    this.id = id;
    this.cwd = cwd;
    this.draft = join(folder, `${id}.draft`);
  }

  get records(): readonly JournalRecord[] {
    return this.#records;
  }

  static create(folder: string, cwd: string): Journal {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const id = randomUUID();
    const journal = new Journal(openSync(fileOf(folder, id), 'ax', 0o600), [], { folder, id, cwd });
    journal.append({ type: 'session', version: 1, id, cwd, at: new Date().toISOString() });
    syncFolder(folder);
    return journal;
  }

  /** Returns `undefined` if the folder has no such session. Fails if the file is damaged before its last line. */
  static open(folder: string, { id, cwd }: { id: string; cwd: string }): Journal | undefined {
    if (!SESSION_ID.test(id)) return undefined;
    const file = fileOf(folder, id);
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
    const { records, length } = readRecords(bytes, file);
    const [first] = records;
    if (first?.type !== 'session' || first.cwd !== cwd) return undefined;
    const fd = openSync(file, 'a');
    if (length < fstatSync(fd).size) ftruncateSync(fd, length);
    return new Journal(fd, records, { folder, id, cwd });
  }

  /** Returns when the record is synced to disk. */
  append(record: JournalRecord): void {
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    for (let written = 0; written < line.length;) written += writeSync(this.#fd, line, written);
    fsyncSync(this.#fd);
    this.#records.push(record);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

const fileOf = (folder: string, id: string): string => join(folder, `${id}.jsonl`);

/** Reads the records. `length` is the number of bytes up to the end of the last complete line. */
export function readRecords(bytes: Buffer, file: string): { records: JournalRecord[]; length: number } {
  const records: JournalRecord[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    const record = parse(bytes.toString('utf8', start, end));
    if (record === undefined) {
      // After a power cut, the last line may consist of zeros.
      if (bytes.indexOf(NEWLINE, end + 1) === -1) break;
      throw new Error(
        `${file}: expected a JSON record in line ${records.length + 1}, found none. The file is damaged.`,
      );
    }
    records.push(record);
    start = end + 1;
  }
  return { records, length: start };
}

function parse(line: string): JournalRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isRecord = typeof value === 'object' && value !== null && 'type' in value;
    return isRecord ? (value as JournalRecord) : undefined;
  } catch {
    return undefined; // the line is incomplete or damaged; the caller decides by its position
  }
}

/** Syncs the folder, because only this sync stores the name of a new file on disk. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Removes the sessions that were not written to for 30 days. */
export function removeOldJournals(folder: string, now: number = Date.now()): void {
  for (const name of readdirSync(folder)) {
    if (!/\.(jsonl|draft)$/.test(name)) continue;
    const file = join(folder, name);
    const { mtimeMs } = statSync(file, { throwIfNoEntry: false }) ?? { mtimeMs: now };
    if (now - mtimeMs > KEPT_MS) rmSync(file, { force: true });
  }
}
