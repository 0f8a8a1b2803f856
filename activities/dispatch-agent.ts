/**
 * Step 3, dispatch agent: one attempt at the turn. It adopts a turn that lives on in this process, or takes one of the
 * host's slots and the fence, finds an outcome that Temporal never heard of, or starts a turn, which has the slot as long
 * as it lives; then it watches: heartbeats to Temporal, progress to the workflow, and what a cancellation means.
 */
import { Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { Slot } from '../agents/slots.ts';
import { adoptTurn, takeTurn } from '../store/attempts.ts';
import { isRunning, turnTask } from '../store/turn-task.ts';
import { AGENT_PROGRESS, type DispatchResult, type StepInput, type TaskId } from '../workflows/contract.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { ProgressPacer } from './progress-pacer.ts';
import { type StepDeps, withHeartbeat } from './step.ts';
import { startTurn } from './turn.ts';
import type { LiveTurn } from './turns.ts';
import { warnOfEdits } from './warn-of-edits.ts';

/** The SDK throttles heartbeats to one a second (worker.ts); an answer to one carries a cancel. */
const HEARTBEAT_MS = 1_000;
/** Rows are the people's: a program may end or delete one while its agent works. */
const ROW_LOOK_MS = 5_000;
/** A turn that no attempt watches any more is stopped after this, unless the next attempt adopts it. */
const ADOPTION_GRACE_MS = 30_000;

export function makeDispatchAgent(deps: StepDeps) {
  return async function dispatchAgent({ taskId }: StepInput): Promise<DispatchResult> {
    const turn = await turnFor(deps, taskId);
    return 'outcome' in turn ? turn.outcome : watch(deps, turn.live);
  };
}

type Found = { readonly outcome: DispatchResult } | { readonly live: LiveTurn };

async function turnFor(deps: StepDeps, taskId: TaskId): Promise<Found> {
  const { info } = Context.current();
  const running = deps.turns.get(taskId);
  if (running) {
    const adopted = await adoptTurn(deps.sql, { taskId, attempt: info.attempt, from: running.attempt });
    if (adopted) {
      deps.turns.adopt(running, info.attempt);
      return { live: running };
    }
    await running.stop('abandoned');
  }
  const slot = await slotFor(deps, taskId);
  try {
    const found = await newTurn(deps, taskId);
    if ('live' in found) found.live.result.then(slot.release, slot.release);
    else slot.release();
    return found;
  } catch (error) {
    slot.release();
    throw error;
  }
}

/** At once, unless another worker of this host has some of the slots, or a turn lives on that no attempt watches. */
async function slotFor({ slots, turns }: StepDeps, taskId: TaskId): Promise<Slot> {
  const claim = { taskId, attempt: Context.current().info.attempt };
  const atOnce = await slots.tryTake(claim);
  if (atOnce) return atOnce;
  return withHeartbeat(async (signal) => {
    for (;;) {
      // The attempt that would adopt that turn needs what this one has at Temporal.
      if (turns.anyLeft)
        throw new LonghaulError('no_free_slot', 'every agent slot is taken, one by a turn to be adopted');
      await slots.untilChange(signal);
      const slot = await slots.tryTake(claim);
      if (slot) return slot;
    }
  });
}

async function newTurn(deps: StepDeps, taskId: TaskId): Promise<Found> {
  const { info } = Context.current();
  const taken = await takeTurn(deps.sql, {
    taskId,
    attempt: info.attempt,
    runId: info.workflowExecution?.runId ?? '',
    host: deps.host,
    worker: deps.worker,
  });
  switch (taken.kind) {
    case 'gone':
      throw new LonghaulError('task_gone', `task ${taskId}: its row or its session's was deleted`);
    case 'superseded':
      throw new LonghaulError('superseded', `task ${taskId}, attempt ${info.attempt}: ${taken.reason}`);
    case 'done':
      return { outcome: taken.outcome };
    case 'taken': {
      const task = await turnTask(deps.sql, taskId);
      if (!task) throw new LonghaulError('task_gone', `task ${taskId}: its row was deleted`);
      const live = startTurn(deps, { task, attempt: info.attempt, taken });
      deps.turns.add(live);
      return { live };
    }
  }
}

async function watch(deps: StepDeps, turn: LiveTurn): Promise<DispatchResult> {
  const context = Context.current();
  const workflow = deps.temporal.workflow.getHandle(context.info.workflowExecution?.workflowId ?? '');
  const pacer = new ProgressPacer((progress) => workflow.signal(AGENT_PROGRESS, progress));
  const beat = (): void => {
    context.heartbeat(turn.heartbeat());
    pacer.offer(turn.progress());
  };
  beat();
  const timer = setInterval(beat, HEARTBEAT_MS);
  let warned: Promise<void> | undefined;
  const off = turn.onProgress(() => {
    pacer.offer(turn.progress());
    warned ??= warnOfEdits(deps, turn.taskId, context.cancellationSignal);
  });
  let looking: NodeJS.Timeout | undefined;
  const ended = new Promise<never>((_, reject) => {
    const look = async (): Promise<void> => {
      if (await isRunning(deps.sql, turn.taskId).catch(() => true)) return; // Postgres away: the next look tells
      // The closing steps stop the turn: what it has written is theirs to collect.
      const message = `task ${turn.taskId}: its row was ended or deleted while the agent worked`;
      reject(new LonghaulError('task_gone', message));
    };
    looking = setInterval(() => void look(), ROW_LOOK_MS);
  });
  try {
    return await Promise.race([turn.result, context.cancelled, ended]);
  } catch (error) {
    if (error instanceof CancelledFailure && context.cancellationSignal.aborted) await letGo(deps, turn, error);
    throw error;
  } finally {
    clearInterval(timer);
    clearInterval(looking);
    off();
    await warned;
  }
}

/** Temporal wants this attempt to end. Only a cancel that was asked for ends the turn for good. */
async function letGo({ turns }: StepDeps, turn: LiveTurn, cancelled: CancelledFailure): Promise<never> {
  const {
    cancellationDetails: details,
    info: { attempt },
  } = Context.current();
  if (details?.cancelRequested) {
    await turn.stop('cancel');
    throw cancelled;
  }
  if (details?.workerShutdown) {
    await turn.stop('shutdown');
    throw new LonghaulError('worker_lost', 'the worker was shut down; the turn goes on elsewhere');
  }
  // Timed out, paused, reset or unknown to the server: this process is well, so the turn goes on for the
  // attempt that follows, which may have adopted it already.
  if (turn.attempt === attempt) turns.leave(turn);
  setTimeout(() => {
    if (turn.attempt === attempt) void turn.stop('abandoned');
  }, ADOPTION_GRACE_MS).unref();
  throw cancelled;
}
