/** The steps as the worker registers them, by the queue that serves them. */
import type { Steps } from '../workflows/contract.ts';
import { makeCreateWorktree } from './create-worktree.ts';
import { makeDiffWorktree } from './diff-worktree.ts';
import { makeDispatchAgent } from './dispatch-agent.ts';
import { makeFinishTask } from './finish-task.ts';
import { makeOpenSession } from './open-session.ts';
import { makePublishProgress } from './publish-progress.ts';
import { makeQueueChange } from './queue-change.ts';
import { makeRemoveWorktree } from './remove-worktree.ts';
import { patiently, step, type StepDeps } from './step.ts';

export interface StepsByQueue {
  readonly workflow: Pick<Steps, 'openSession' | 'queueChange' | 'finishTask' | 'publishProgress'>;
  readonly host: Pick<Steps, 'diffWorktree' | 'removeWorktree'>;
  readonly agents: Pick<Steps, 'createWorktree' | 'dispatchAgent'>;
}

export function makeSteps(deps: StepDeps): StepsByQueue {
  const { log } = deps;
  return {
    workflow: {
      openSession: step('openSession', log, makeOpenSession(deps)),
      queueChange: step('queueChange', log, makeQueueChange(deps)),
      finishTask: step('finishTask', log, makeFinishTask(deps)),
      publishProgress: step('publishProgress', log, makePublishProgress(deps)),
    },
    host: {
      diffWorktree: step('diffWorktree', log, patiently(makeDiffWorktree(deps))),
      removeWorktree: step('removeWorktree', log, patiently(makeRemoveWorktree(deps))),
    },
    agents: {
      createWorktree: step('createWorktree', log, patiently(makeCreateWorktree(deps))),
      dispatchAgent: step('dispatchAgent', log, makeDispatchAgent(deps)),
    },
  };
}
