/**
 * Which commands a run issues. A run keeps the version that it was started with until it ends, so a run that an older
 * backend or worker began replays with the same commands.
 *
 * `patched()` would record the same with a marker in history, but each marker adds an event and an update of search
 * attributes: 3 to 5 ms before the agent starts, and 5 ms of the server's CPU (two cores, server 1.29.1).
 */
import { patched } from '@temporalio/workflow';
import { COMMANDS, type TaskInput } from '../contract/task.ts';

/** The marker of some runs of version 1. */
const LOCAL_DATABASE_STEPS = 'local-database-steps';

export interface Commands {
  /** Database steps run within the workflow task: they are short and idempotent, and each saves two hand-overs by the server. */
  readonly localDatabaseSteps: boolean;
  /** The workflow updates `LonghaulPhase` for long phases and at the end, not for each short phase. */
  readonly lastingPhases: boolean;
  /** If a provider's usage limit has a known end, the workflow waits with a timer and dispatches the turn again. */
  readonly limitWaits: boolean;
  /** A run ends in Temporal with the state of its task: failed with the task's code and summary, or cancelled. */
  readonly truthfulEnd: boolean;
  /** If an agent only waits for a person, it is ended, and the workflow waits for the answer. */
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
 * The workflow calls it before its first await. It fails the workflow task of a run that is newer than this code, so that a
 * newer worker takes the run.
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
