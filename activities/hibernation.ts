/**
 * Decides when a turn hibernates: its agent has done nothing but wait for a person for a while, and can resume its session
 * later. Then the agent is ended, and no process waits.
 *
 * Must never happen: a turn hibernates while an answer is being delivered to its agent, because then the agent would ask again
 * for what was answered.
 */
import type { RunningAgent } from '../agents/driver.ts';
import { signalGroup } from '../processes/end.ts';

/** The longest time of a timer in Node. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface HibernationOptions {
  /** Undefined: never. */
  readonly afterMs: number | undefined;
  /** The turn's agent is about to be ended. */
  readonly hibernate: () => void;
}

export class Hibernation {
  readonly #options: HibernationOptions;
  /** Requests that wait for a person, and those that are being stored or answered. */
  #waiting = 0;
  #busy = 0;
  #agent: RunningAgent | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over = false;
  readonly #begun = new AbortController();

  constructor(options: HibernationOptions) {
    this.#options = options;
  }

  /** Aborted: the turn hibernates, and no answer is delivered any more. */
  get signal(): AbortSignal {
    return this.#begun.signal;
  }

  /** Here a verified ability to resume can count, instead of the one that the agent reports. */
  setAgent(agent: RunningAgent): void {
    this.#agent = agent;
    this.noteActivity();
  }

  /** The agent did something: it does not only wait. */
  noteActivity(): void {
    clearTimeout(this.#timer);
    const { afterMs, hibernate } = this.#options;
    if (this.#over || afterMs === undefined || !this.#agent?.resume || this.#waiting === 0 || this.#busy > 0) return;
    const due = (): void => {
      hibernate();
      this.endWaitingAgent();
      this.close();
      this.#begun.abort();
    };
    this.#timer = setTimeout(due, Math.min(afterMs, MAX_TIMER_MS)).unref();
  }

  /**
   * Ends an agent that waits for a person, as a crash does: one that is cancelled or loses its client may store that the person
   * refused. Without effect on one that does something else, too.
   */
  endWaitingAgent(): void {
    if (this.#over || !this.#agent || this.#waiting === 0 || this.#busy > 0) return;
    signalGroup(this.#agent.process.pid, 'SIGKILL');
  }

  /** The agent is ended. A timer would keep the turn in memory. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  /** Handles one request: the turn hibernates only within `wait`. */
  async handle<T>(work: (wait: <A>(answer: () => Promise<A>) => Promise<A>) => Promise<T>): Promise<T> {
    this.#count({ busy: 1 });
    try {
      return await work(async (answer) => {
        this.#count({ busy: -1, waiting: 1 });
        try {
          return await answer();
        } finally {
          this.#count({ busy: 1, waiting: -1 });
        }
      });
    } finally {
      this.#count({ busy: -1 });
    }
  }

  #count({ busy = 0, waiting = 0 }: { busy?: number; waiting?: number }): void {
    this.#busy += busy;
    this.#waiting += waiting;
    this.noteActivity();
  }
}
