/**
 * Decides when the workflow gets a signal about a turn's progress. A change of phase or attempt is sent at once, up to
 * a maximum number of times. Any other progress is sent at intervals that grow: 8 signals in ten minutes, 18 in an
 * hour, fewer than 200 in thirty days. So the history of a turn of any length remains small.
 */
import type { AgentProgress } from '../contract/task.ts';

/**
 * The start of an agent is signalled only if it takes longer than this, because the workflow itself has scheduled the
 * step.
 */
const SLOW_START_MS = 1_000;
const FIRST_INTERVAL_MS = 3_000;
const GROWTH = 2.2;
/**
 * The longest interval in the first two hours of a turn. After that the longest interval is the part
 * `LONG_INTERVAL_PART` of the turn's time so far.
 */
const LONG_INTERVAL_MS = 5 * 60_000;
const LONG_INTERVAL_PART = 1 / 25;
/**
 * The maximum number of signals that are sent at once. After that number, changes of phase are also sent at intervals,
 * because each permission request changes the phase twice.
 */
const MAX_AT_ONCE = 100;

export class ProgressPacer {
  readonly #send: (progress: AgentProgress) => Promise<unknown>;
  readonly #now: () => number;
  #last: AgentProgress | undefined;
  #offeredAt: number | undefined;
  #startedAt: number | undefined;
  #nextAt = 0;
  #intervalMs = FIRST_INTERVAL_MS;
  #sending = false;
  #atOnce = 0;

  constructor(send: (progress: AgentProgress) => Promise<unknown>, now: () => number = () => performance.now()) {
    this.#send = send;
    this.#now = now;
  }

  /**
   * Sends the progress if it is due: at once after a change of phase or attempt (at most MAX_AT_ONCE times), otherwise
   * when the interval is over and the progress is new. The caller may call this function at any rate. If a signal
   * fails, a later call sends the progress again.
   */
  offer(progress: AgentProgress): void {
    this.#offeredAt ??= this.#now();
    if (progress.phase === 'starting' && this.#now() < this.#offeredAt + SLOW_START_MS) return;
    if (this.#sending) return;
    const last = this.#last;
    const changed = last?.phase !== progress.phase || last.attempt !== progress.attempt;
    const turned = changed && this.#atOnce < MAX_AT_ONCE;
    if (!turned && (this.#now() < this.#nextAt || JSON.stringify(last) === JSON.stringify(progress))) return;
    const paced = !turned || last === undefined;
    if (paced) this.#nextAt = this.#now() + this.#intervalMs;
    void this.#deliver(progress, paced);
  }

  #nextInterval(): number {
    this.#startedAt ??= this.#now();
    const longest = Math.max(LONG_INTERVAL_MS, (this.#now() - this.#startedAt) * LONG_INTERVAL_PART);
    return Math.min(this.#intervalMs * GROWTH, longest);
  }

  async #deliver(progress: AgentProgress, paced: boolean): Promise<void> {
    const last = this.#last;
    this.#sending = true;
    this.#last = progress;
    try {
      await this.#send(progress);
      if (paced) this.#intervalMs = this.#nextInterval();
      else this.#atOnce += 1;
    } catch {
      this.#last = last;
    } finally {
      this.#sending = false;
    }
  }
}
