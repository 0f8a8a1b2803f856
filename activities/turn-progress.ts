/** How far a running turn is. The heartbeat and the progress that the workflow receives are built from it. */
import type { AgentLaunch } from '../agents/launch/launch.ts';
import { head } from '../contract/cut-text.ts';
import type { AgentSessionId } from '../contract/ids.ts';
import type { DispatchHeartbeat } from '../contract/steps.ts';
import type { AgentProgress, Phase } from '../contract/task.ts';
import type { TurnRecorder } from './recorder.ts';

const MAX_CHARS = 120;

/** Why a turn is stopped. A user requests only `cancel`. `hibernate`: its agent only waits for a person. */
export type StopReason = 'cancel' | 'shutdown' | 'abandoned' | 'closing' | 'hibernate';

/** The task's next attempt continues what such a stop interrupts. */
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

  /** Calls `listener` at each `enter`. Returns the function that removes it. */
  onEnter(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** `seq`: the number of the newest frame of the turn. */
  heartbeat(seq: number): DispatchHeartbeat {
    return {
      attempt: this.attempt,
      seq: String(seq),
      phase: this.#phase,
      ...(this.agentSessionId ? { agent_session_id: this.agentSessionId } : {}),
      ...(this.pid ? { pid: this.pid } : {}),
    };
  }

  /** For the workflow: texts are shortened. */
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
