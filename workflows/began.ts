/**
 * Which commands a run's workflow issues: what it was started with, for as long as it runs. So runs that an older
 * backend or worker began go on as they began.
 *
 * `patched()` would say the same with a marker in history, but each comes with an event and an update of search
 * attributes: 3 to 5 ms before the agent starts, and 5 ms of the server's CPU (two cores, server 1.29.1).
 */
import { patched } from '@temporalio/workflow';
import { COMMANDS, type TaskInput } from '../contract/task.ts';

/** Marks some of the first runs. */
const LOCAL_DATABASE_STEPS = 'local-database-steps';

export interface Commands {
  /** Database steps run within the workflow task: short and idempotent, they save two hand-overs by the server each. */
  readonly localDatabaseSteps: boolean;
  /** `LonghaulPhase` is updated for phases that last and at the end, not for each of the short ones. */
  readonly lastingPhases: boolean;
  /** A provider's usage limit whose end is known is waited for with a timer, and the turn dispatched again. */
  readonly limitWaits: boolean;
  /** A run ends in Temporal as its task does: failed with the task's code and sentence, or cancelled. */
  readonly truthfulEnd: boolean;
}

/** Call it before the first await. Of a run that is newer than this code it fails the workflow task: a newer worker takes it. */
export function commandsOf({ commands = 1 }: TaskInput): Commands {
  switch (commands) {
    case 1:
      return {
        localDatabaseSteps: patched(LOCAL_DATABASE_STEPS),
        lastingPhases: false,
        limitWaits: false,
        truthfulEnd: false,
      };
    case 2:
      return { localDatabaseSteps: true, lastingPhases: true, limitWaits: false, truthfulEnd: false };
    case 3:
      return { localDatabaseSteps: true, lastingPhases: true, limitWaits: true, truthfulEnd: false };
    case COMMANDS:
      return { localDatabaseSteps: true, lastingPhases: true, limitWaits: true, truthfulEnd: true };
    default:
      throw new Error(
        `This worker knows runs up to version ${COMMANDS}, this one was started as ${commands}: start a worker of the backend's version.`,
      );
  }
}
