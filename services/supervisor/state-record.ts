/**
 * Writes the supervisor's record of the home, `run/state.json`. The record is written at every change, one write after
 * the other, and again if another process removed or changed the file. A full disk must not end the supervisor.
 */
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeState, type HomePaths, type HomeState } from '../home/home.ts';
import { messageOf } from '../../contract/errors.ts';

const CHECK_INTERVAL_MS = 1_000;

export interface StateRecordOptions {
  readonly paths: HomePaths;
  /** Returns the current state. */
  readonly state: () => HomeState;
  readonly report: (line: string) => void;
}

export class StateRecord {
  readonly #options: StateRecordOptions;
  #writing: Promise<void> = Promise.resolve();
  /** The error of the last write; `undefined` if that write succeeded. */
  #trouble: string | undefined;
  /** The stamp of the file after the last write; `undefined` if that write failed. */
  #written: string | undefined;
  readonly #over = new AbortController();
  #isAbandoned = false;

  constructor(options: StateRecordOptions) {
    this.#options = options;
  }

  /** Starts to check the file every second and to write it again if another process removed or changed it. */
  keep(): void {
    void this.#look();
  }

  /** Writes the current state. Writes run one after the other, so that an older state never replaces a newer one. */
  write(): void {
    this.#writing = this.#writeAfter(this.#writing);
  }

  /** Resolves when all writes so far have succeeded or failed. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** Completes the pending writes and stops checking the file. */
  async close(): Promise<void> {
    this.#over.abort();
    await this.#writing;
  }

  /** Stops all writes, because the file belongs to another supervisor from now on. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#over.abort();
  }

  async #look(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      await sleep(CHECK_INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
      await this.#writing;
      if (!signal.aborted && (await this.#isOther())) this.write();
    }
  }

  async #isOther(): Promise<boolean> {
    return this.#written === undefined || this.#written !== (await this.#stamp());
  }

  /** Returns the stamp of the record and of its password file: inode, size, time and owner. */
  async #stamp(): Promise<string> {
    const { stateFile, passfile } = this.#options.paths;
    const stamps = [stateFile, passfile].map((file) =>
      stat(file, { bigint: true }).then(
        ({ ino, size, mtimeNs, uid }) => `${ino} ${size} ${mtimeNs} ${uid}`,
        () => 'none',
      ),
    );
    return (await Promise.all(stamps)).join(' ');
  }

  async #writeAfter(previous: Promise<void>): Promise<void> {
    await previous;
    if (this.#isAbandoned) return;
    const { paths, state, report } = this.#options;
    try {
      await writeState(paths, state());
      this.#written = await this.#stamp();
      this.#trouble = undefined;
    } catch (error) {
      this.#written = undefined;
      const why = messageOf(error);
      const trouble = `supervisor: cannot write ${paths.stateFile}: ${why}`;
      if (this.#trouble === undefined) report(trouble);
      this.#trouble = trouble;
    }
  }
}
