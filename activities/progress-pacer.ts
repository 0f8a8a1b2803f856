/**
 * When the workflow hears of a turn's progress. A change of phase or attempt is told at once, as long as there are
 * not too many of them; anything else soon at first, then ever more seldom: 8 signals in ten minutes, 18 in an
 * hour, fewer than 200 in thirty days. So the history of a turn of any length stays small.
 */
import type { AgentProgress } from '../contract/task.ts';

/** That the agent starts is news only where it takes longer: the workflow knows that it has scheduled the step. */
const SLOW_START_MS = 1_000;
const FIRST_INTERVAL_MS = 3_000;
const GROWTH = 2.2;
/** Up to two hours an interval is at most this long, then at most this part of the time that the turn has taken. */
const LONG_INTERVAL_MS = 5 * 60_000;
const LONG_INTERVAL_PART = 1 / 25;
/** An agent that asks for permission all the time changes its phase twice each time: beyond this it is paced, too. */
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

  /** Called often; sends when it is time and there is something new. A signal that fails is offered again later. */
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
