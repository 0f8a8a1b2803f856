/** Decides whether a task's agent is trusted to load its session after its process was killed. */
import type { RunningAgent } from '../agents/driver.ts';
import type { TurnTask } from '../store/turn-task.ts';

/**
 * Returns whether the agent is trusted: it reports that it can load sessions, and no resume check of this version of
 * the agent has failed.
 */
export function canResume({ unresumable_versions: refuted }: TurnTask, { resume, about }: RunningAgent): boolean {
  return resume !== undefined && !refuted.includes(about.version);
}
