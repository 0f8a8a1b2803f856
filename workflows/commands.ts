/**
 * Maps the version of a run to the commands that it issues. A run keeps the version with which it was started until it
 * ends, so a run that an older backend or worker started replays with the same commands.
 *
 * Temporal's `patched()` is not used, because it would record the same fact with a marker in the history. Each marker
 * adds an event and an update of search attributes: 3 to 5 ms before the agent starts, and 5 ms of the server's CPU
 * (two cores, server 1.29.1).
 */
import { patched } from '@temporalio/workflow';
import { COMMANDS, type TaskInput } from '../contract/task.ts';

/** The marker that some runs of version 1 have. */
const LOCAL_DATABASE_STEPS = 'local-database-steps';

export interface Commands {
  /**
   * Whether database steps run as local activities, within the workflow task. Database steps are short and idempotent,
   * and each local execution saves two round trips to the server.
   */
  readonly localDatabaseSteps: boolean;
  /**
   * Whether the workflow updates `LonghaulPhase` only for long phases and at the end. Otherwise the workflow updates it
   * for each short phase, too.
   */
  readonly lastingPhases: boolean;
  /**
   * Whether the workflow waits with a timer for the end of a provider's usage limit, if that end is known, and then
   * dispatches the turn again.
   */
  readonly limitWaits: boolean;
  /**
   * Whether a run ends in Temporal with the state of its task: completed, failed with the task's code and summary, or
   * cancelled.
   */
  readonly truthfulEnd: boolean;
  /** Whether an agent that only waits for a user's answer is ended, while the workflow waits for the answer. */
  readonly hibernates: boolean;
}

const NEWEST: Commands = {
  localDatabaseSteps: true,
  lastingPhases: true,
  limitWaits: true,
  truthfulEnd: true,
  hibernates: true,
};

/**
 * Returns the commands of the run's version. The workflow calls it before its first await. If the run is newer than
 * this code, the function throws, which fails the workflow task, so that a newer worker takes the run.
 */
export function commandsOf({ commands = 1 }: TaskInput): Commands {
  switch (commands) {
    case 1:
      return {
        localDatabaseSteps: patched(LOCAL_DATABASE_STEPS),
        lastingPhases: false,
        limitWaits: false,
        truthfulEnd: false,
        hibernates: false,
      };
    case 2:
      return { ...NEWEST, limitWaits: false, truthfulEnd: false, hibernates: false };
    case 3:
      return { ...NEWEST, truthfulEnd: false, hibernates: false };
    case 4:
      return { ...NEWEST, hibernates: false };
    case COMMANDS:
      return NEWEST;
    default:
      throw new Error(
        `expected a run of version 1 to ${COMMANDS}, found version ${commands}: start a worker of the backend's version.`,
      );
  }
}
