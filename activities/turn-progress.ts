/**
 * Tracks the progress of a running turn. The details of a heartbeat and the progress that the workflow receives are
 * made from this state.
 */
import type { AgentLaunch } from '../agents/launch/launch.ts';
import { head } from '../contract/cut-text.ts';
import type { AgentSessionId } from '../contract/ids.ts';
import type { DispatchHeartbeat } from '../contract/steps.ts';
import type { AgentProgress, Phase } from '../contract/task.ts';
import type { TurnRecorder } from './recorder.ts';

const MAX_CHARS = 120;

/**
 * The reason for which a turn is stopped. Only `cancel` comes from a user. `hibernate`: the turn's agent only waits for
 * a user's answer.
 */
export type StopReason = 'cancel' | 'shutdown' | 'abandoned' | 'closing' | 'hibernate';

/** Returns whether the task's next attempt continues the work that a stop for this reason interrupts. */
export const continuesLater = (reason: StopReason | undefined): boolean =>
  reason === 'shutdown' || reason === 'abandoned' || reason === 'hibernate';

export class TurnProgress {
  /** The number of the newest attempt that watches the turn. */
  attempt: number;
  stopReason: StopReason | undefined;
  launch: AgentLaunch | undefined;
  pid: number | undefined;
  recorder: TurnRecorder | undefined;
  agentSessionId: AgentSessionId | undefined;
  #phase: Phase = 'starting';
  readonly #listeners = new Set<() => void>();

  constructor(attempt: number) {
    this.attempt = attempt;
  }

  enter(phase: Phase): void {
    this.#phase = phase;
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` at each call of `enter`. Returns the function that removes the listener. */
  onEnter(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Returns the details of a heartbeat. `seq` is the number of the turn's newest frame. */
  heartbeat(seq: number): DispatchHeartbeat {
    return {
      attempt: this.attempt,
      seq: String(seq),
      phase: this.#phase,
      ...(this.agentSessionId ? { agent_session_id: this.agentSessionId } : {}),
      ...(this.pid ? { pid: this.pid } : {}),
    };
  }

  /** Returns the progress for the workflow, with shortened texts. */
  report(): AgentProgress {
    const { attempt, recorder } = this;
    const plan = recorder?.view.plan;
    const current = plan?.find((entry) => entry.status === 'in_progress')?.content;
    return {
      attempt,
      phase: this.#phase,
      ...(recorder?.tool ? { tool: head(recorder.tool, MAX_CHARS) } : {}),
      ...(recorder ? { toolCalls: recorder.finishedToolCalls } : {}),
      ...(recorder?.tokens === undefined ? {} : { tokens: recorder.tokens }),
      ...(plan
        ? {
            plan: {
              done: plan.filter((entry) => entry.status === 'completed').length,
              total: plan.length,
              ...(current ? { current: head(current, MAX_CHARS) } : {}),
            },
          }
        : {}),
    };
  }
}
