/**
 * When the workflow hears of a turn's progress. A change of phase or attempt is told at once; anything else
 * at intervals that grow by half each time, so that the history of a turn of any length stays small: 8
 * signals in ten minutes, 13 in an hour, 21 in a day.
 */
import type { AgentProgress } from '../workflows/contract.ts';

const FIRST_INTERVAL_MS = 15_000;
const GROWTH = 1.5;

export class ProgressPacer {
  readonly #send: (progress: AgentProgress) => Promise<unknown>;
  readonly #now: () => number;
  #last: AgentProgress | undefined;
  #nextAt = 0;
  #intervalMs = FIRST_INTERVAL_MS;
  #sending = false;

  constructor(send: (progress: AgentProgress) => Promise<unknown>, now: () => number = () => performance.now()) {
    this.#send = send;
    this.#now = now;
  }

  /** Called often; sends when it is time and there is something new. A signal that fails is offered again later. */
  offer(progress: AgentProgress): void {
    const last = this.#last;
    const turned = !last || last.phase !== progress.phase || last.attempt !== progress.attempt;
    if (progress.phase === 'starting' || this.#sending) return;
    if (!turned && (this.#now() < this.#nextAt || JSON.stringify(last) === JSON.stringify(progress))) return;
    if (!turned || !last) {
      this.#nextAt = this.#now() + this.#intervalMs;
      this.#intervalMs *= GROWTH;
    }
    this.#sending = true;
    this.#last = progress;
    this.#send(progress)
      .catch(() => {
        this.#last = last;
      })
      .finally(() => {
        this.#sending = false;
      });
  }
}
