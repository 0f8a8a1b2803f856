/**
 * The supervisor's record of the home, `run/state.json`: the state is written at every change, one write after the
 * other, and again if the file was removed or another process changed it. A full disk must not end the supervisor.
 */
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeState, type HomePaths, type HomeState } from '../home/home.ts';
import { messageOf } from '../../contract/errors.ts';

const LOOK_MS = 1_000;

export interface StateRecordOptions {
  readonly paths: HomePaths;
  /** The current state. */
  readonly state: () => HomeState;
  readonly report: (line: string) => void;
}

export class StateRecord {
  readonly #options: StateRecordOptions;
  #writing: Promise<void> = Promise.resolve();
  /** The error of the last write, until one succeeds. */
  #trouble: string | undefined;
  /** The stamp of the file at the last write; `undefined`: it was not written. */
  #written: string | undefined;
  readonly #over = new AbortController();
  #isAbandoned = false;

  constructor(options: StateRecordOptions) {
    this.#options = options;
  }

  /** From now on the file is looked at each second. */
  keep(): void {
    void this.#look();
  }

  /** One write after the other, so that the file never goes back in time. */
  write(): void {
    this.#writing = this.#writeAfter(this.#writing);
  }

  /** Resolves when all writes so far have succeeded or failed. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** The last writes are made; the file is not looked at any more. */
  async close(): Promise<void> {
    this.#over.abort();
    await this.#writing;
  }

  /** The file belongs to another supervisor: nothing is written any more. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#over.abort();
  }

  async #look(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
      await this.#writing;
      if (!signal.aborted && (await this.#isOther())) this.write();
    }
  }

  async #isOther(): Promise<boolean> {
    return this.#written === undefined || this.#written !== (await this.#stamp());
  }

  /** The stamp of the record and of its password file. */
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
