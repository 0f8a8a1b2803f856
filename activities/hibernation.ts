/**
 * Decides when a turn hibernates: its agent has only waited for a user's answer for a while, and the agent can resume
 * its session later. Then the agent is ended, so that no process waits.
 *
 * Must never happen: a turn hibernates while an answer is being delivered to its agent. The agent would then ask again
 * for what was answered.
 */
import type { RunningAgent } from '../agents/driver.ts';
import { signalGroup } from '../processes/end.ts';
import { isAlive } from '../processes/identity.ts';

/** The maximum delay of a Node timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface HibernationOptions {
  /**
   * The turn hibernates when its agent has only waited for a user's answer for this time. Undefined: the turn never
   * hibernates.
   */
  readonly afterMs: number | undefined;
  /** Called before the turn's agent is ended. */
  readonly hibernate: () => void;
}

export class Hibernation {
  readonly #options: HibernationOptions;
  /** The number of requests that wait for a user's answer. `#busy` counts those that are being stored or answered. */
  #waiting = 0;
  #busy = 0;
  #agent: RunningAgent | undefined;
  #canResume = false;
  #timer: NodeJS.Timeout | undefined;
  #over = false;
  readonly #begun = new AbortController();

  constructor(options: HibernationOptions) {
    this.#options = options;
  }

  /** Aborted when the turn hibernates. From then on no answer is delivered. */
  get signal(): AbortSignal {
    return this.#begun.signal;
  }

  /** Sets the turn's agent. An agent that cannot resume its session is never ended. */
  setAgent(agent: RunningAgent, { canResume }: { canResume: boolean }): void {
    this.#agent = agent;
    this.#canResume = canResume;
    this.noteActivity();
  }

  /** Restarts the timer of the hibernation, because the agent did something. */
  noteActivity(): void {
    clearTimeout(this.#timer);
    const { afterMs, hibernate } = this.#options;
    if (this.#over || afterMs === undefined || !this.#canResume || this.#waiting === 0 || this.#busy > 0) return;
    const due = (): void => {
      hibernate();
      this.endWaitingAgent();
      this.close();
      this.#begun.abort();
    };
    this.#timer = setTimeout(due, Math.min(afterMs, MAX_TIMER_MS)).unref();
  }

  /**
   * Ends an agent that only waits for a user's answer with SIGKILL, which looks like a crash. If such an agent were
   * cancelled or lost its ACP client instead, it might store that the user refused. An agent that also does something
   * else is not ended.
   */
  endWaitingAgent(): void {
    if (this.#over || !this.#agent || this.#waiting === 0 || this.#busy > 0) return;
    signalGroup(this.#agent.process.pid, 'SIGKILL');
  }

  /** Whether the agent's process has exited. The exit is visible here before the turn handles it. */
  agentHasEnded(): boolean {
    return this.#agent !== undefined && !isAlive(this.#agent.process);
  }

  /** Stops the timer. Called when the agent has ended, because a running timer would keep the turn in memory. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  /** Handles one permission request. The turn can hibernate only while `wait` waits. */
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
