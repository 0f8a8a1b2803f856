/**
 * Which commands a run's workflow issues, decided as the run begins: runs that older code began go on as they began.
 *
 * The build of the worker that completed a run's first workflow task stands in its history anyway. A marker of
 * `patched()` would say the same, but each comes with an event and an update of search attributes: 3 to 5 ms before
 * the agent starts, and 5 ms of the server's CPU (two cores, server 1.29.1).
 */
import { patched, workflowInfo } from '@temporalio/workflow';
import { WORKER_BUILD } from './contract.ts';

/** Marks the runs between the first two kinds. */
const LOCAL_DATABASE_STEPS = 'local-database-steps';

export interface Commands {
  /** Database steps run within the workflow task: short and idempotent, they save two hand-overs by the server each. */
  readonly localDatabaseSteps: boolean;
  /** `LonghaulPhase` is updated for phases that last and at the end, not for each of the short ones. */
  readonly lastingPhases: boolean;
}

/** Call it once, before the first await. */
export function commandsOfRun(): Commands {
  if (workflowInfo().currentDeploymentVersion?.buildId === WORKER_BUILD) {
    return { localDatabaseSteps: true, lastingPhases: true };
  }
  return { localDatabaseSteps: patched(LOCAL_DATABASE_STEPS), lastingPhases: false };
}
