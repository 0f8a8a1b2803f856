/** Decides whether a task's agent is trusted to load its session after its process was killed. */
import type { RunningAgent } from '../agents/driver.ts';
import type { TurnTask } from '../store/turn-task.ts';

/** The agent's own report counts, unless a check of this version has shown the contrary. */
export function canResume({ unresumable_versions: refuted }: TurnTask, { resume, about }: RunningAgent): boolean {
  return resume !== undefined && !refuted.includes(about.version);
}
