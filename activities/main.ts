/** Makes the steps that the worker registers, grouped by their task queue. */
import type { ProbeSteps, ResumeSteps } from '../contract/agent-snapshot.ts';
import type { ActionSteps } from '../contract/change-actions.ts';
import type { Steps } from '../contract/steps.ts';
import { makeAnswerPermission } from './answer-permission.ts';
import { makeActionSteps } from './carry-out-action.ts';
import { makeCreateWorktree } from './create-worktree.ts';
import { makeDiffWorktree } from './diff-worktree.ts';
import { makeDispatchAgent } from './dispatch-agent.ts';
import { makeFinishTask } from './finish-task.ts';
import { makeOpenSession } from './open-session.ts';
import { makeProbeAgent } from './probe-agent.ts';
import { makePublishProgress } from './publish-progress.ts';
import { makeQueueChange } from './queue-change.ts';
import { makeRemoveWorktree } from './remove-worktree.ts';
import { retryWhileDatabaseDown, wrapStep, type StepDeps } from './step.ts';
import { makeVerifyResume } from './verify-resume.ts';
import { withholding } from './withhold.ts';

export interface StepsByQueue {
  readonly workflow: Pick<Steps, 'openSession' | 'queueChange' | 'finishTask' | 'publishProgress' | 'answerPermission'>;
  readonly host: Pick<Steps, 'diffWorktree' | 'removeWorktree'> & ActionSteps;
  readonly agents: Pick<Steps, 'createWorktree' | 'dispatchAgent'>;
  readonly probes: ProbeSteps & ResumeSteps;
}

export function makeSteps(deps: StepDeps): StepsByQueue {
  const { log } = deps;
  const actions = makeActionSteps(deps);
  return {
    workflow: {
      openSession: withholding(deps, 'openSession', wrapStep('openSession', log, makeOpenSession(deps))),
      queueChange: withholding(deps, 'queueChange', wrapStep('queueChange', log, makeQueueChange(deps))),
      finishTask: withholding(deps, 'finishTask', wrapStep('finishTask', log, makeFinishTask(deps))),
      answerPermission: withholding(
        deps,
        'answerPermission',
        wrapStep('answerPermission', log, makeAnswerPermission(deps)),
      ),
      publishProgress: withholding(
        deps,
        'publishProgress',
        wrapStep('publishProgress', log, makePublishProgress(deps)),
      ),
    },
    host: {
      diffWorktree: withholding(
        deps,
        'diffWorktree',
        wrapStep('diffWorktree', log, retryWhileDatabaseDown(makeDiffWorktree(deps))),
      ),
      removeWorktree: withholding(
        deps,
        'removeWorktree',
        wrapStep('removeWorktree', log, retryWhileDatabaseDown(makeRemoveWorktree(deps))),
      ),
      carryOutAction: wrapStep(
        'carryOutAction',
        log,
        retryWhileDatabaseDown((input) => actions.carryOutAction(input)),
      ),
      abandonAction: wrapStep(
        'abandonAction',
        log,
        retryWhileDatabaseDown((input) => actions.abandonAction(input)),
      ),
    },
    agents: {
      createWorktree: withholding(
        deps,
        'createWorktree',
        wrapStep('createWorktree', log, retryWhileDatabaseDown(makeCreateWorktree(deps))),
      ),
      dispatchAgent: withholding(deps, 'dispatchAgent', wrapStep('dispatchAgent', log, makeDispatchAgent(deps))),
    },
    probes: {
      probeAgent: wrapStep('probeAgent', log, makeProbeAgent(deps)),
      verifyResume: wrapStep('verifyResume', log, makeVerifyResume(deps)),
    },
  };
}
