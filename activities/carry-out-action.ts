/**
 * The steps of the workflow `apply`: they apply a change to the project's checkout, or undo an applied change there.
 * The journal is stored before the first file is written. So if the worker was killed during the step, the next
 * execution of the step completes the action, or restores the files if the user changed one of these files meanwhile.
 * Only one action at a time runs on a checkout.
 */
import { conflictError, type ConflictingPath, type Plan } from '../changes/plan.ts';
import { type Journal, journalSchema } from '../changes/journal.ts';
import type { ActionInput, ActionResult, ActionSteps } from '../contract/change-actions.ts';
import { type ErrorCode, LonghaulError } from '../contract/errors.ts';
import { type ActionId, shortId } from '../contract/ids.ts';
import {
  type ActionFailure,
  type ActionToRun,
  actionToRun,
  appliedJournal,
  beginTakingBack,
  earlierPending,
  finishAction,
  noteFailure,
  refuseAction,
  storeJournal,
} from '../store/change-actions.ts';
import { refuseOutside } from '../store/project-roots.ts';
import { filePath } from '../worktrees/file-path.ts';
import { type StepDeps, withHeartbeat } from './step.ts';

type Deps = Pick<StepDeps, 'sql' | 'changes' | 'worktrees' | 'projectRoots' | 'temporalContent'>;

export function makeActionSteps(deps: Deps): ActionSteps {
  return {
    carryOutAction: ({ actionId }) =>
      withHeartbeat((signal) =>
        noting(deps, actionId, () => onCheckout(deps, actionId, signal, (action) => carryOut(deps, action, signal))),
      ),
    abandonAction: ({ actionId }: ActionInput) =>
      withHeartbeat((signal) =>
        onCheckout(deps, actionId, signal, (action) => abandon(deps, action, failureIn(action), signal)),
      ),
  };
}

/**
 * Runs `work`. If `work` fails, stores the reason in the action's row. Temporal gets the message only if the settings
 * permit that.
 */
async function noting<T>({ sql, temporalContent }: Deps, id: ActionId, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof LonghaulError)) throw error;
    await noteFailure(sql, id, error);
    if (temporalContent === 'full') throw error;
    throw new LonghaulError(error.code, 'The row of the action has the message.', { cause: error });
  }
}

/** Runs `work` with the action's row, while no other action runs on the same checkout. */
async function onCheckout(
  deps: Deps,
  id: ActionId,
  signal: AbortSignal,
  work: (action: ActionToRun) => Promise<ActionResult>,
): Promise<ActionResult> {
  const first = await actionToRun(deps.sql, id);
  const end = endOf(first);
  if (!first || end) return end ?? { kind: 'superseded' };
  const checkout = await checkoutOf(deps, first, signal);
  if (checkout instanceof LonghaulError) return refuse(deps, id, checkout);
  return deps.changes.exclusively(
    checkout,
    async () => {
      const action = await actionToRun(deps.sql, id);
      return endOf(action) ?? (action ? work(action) : { kind: 'superseded' });
    },
    signal,
  );
}

/** Returns the result of an action that has ended. Returns undefined if the action has not ended. */
function endOf(action: ActionToRun | undefined): ActionResult | undefined {
  if (!action) return { kind: 'superseded' };
  if (action.state === 'done') return { kind: 'done' };
  return action.state === 'refused' ? { kind: 'refused', code: action.error_code ?? 'internal_error' } : undefined;
}

/** Returns the top folder of the checkout, or the error that says why the project has no usable checkout. */
async function checkoutOf(
  { worktrees, projectRoots }: Deps,
  { journal, project_path: projectPath }: ActionToRun,
  signal: AbortSignal,
): Promise<string | LonghaulError> {
  if (journal !== null) return journalSchema.parse(journal).checkout;
  try {
    const { topLevel } = await worktrees.inspect(projectPath ?? undefined, signal);
    await refuseOutside(topLevel, projectRoots);
    return topLevel;
  } catch (error) {
    if (error instanceof LonghaulError && !error.facts.retryable) return error;
    throw error;
  }
}

async function carryOut(deps: Deps, action: ActionToRun, signal: AbortSignal): Promise<ActionResult> {
  if (action.state === 'taking_back') return restore(deps, action, failureIn(action), signal);
  const journal = action.journal === null ? await planned(deps, action, signal) : journalSchema.parse(action.journal);
  if (!('entries' in journal)) return journal;
  const { changed } = await deps.changes.write({ journal, tag: tagOf(action), signal });
  if (changed === undefined) {
    const { kind } = await finishAction(deps.sql, action.id);
    return kind === 'moved' ? { kind: 'done' } : { kind: 'superseded' };
  }
  return abandon(deps, { ...action, state: 'writing', journal }, changedMeanwhile(journal, changed), signal);
}

/** Plans the action and stores its journal. Returns the journal, or the result of the action if it is refused. */
async function planned(deps: Deps, action: ActionToRun, signal: AbortSignal): Promise<Journal | ActionResult> {
  try {
    const plan = await planOf(deps, action, signal);
    if (plan.kind === 'conflict') return await refuseConflict(deps, action, plan.paths);
    const { kind } = await storeJournal(deps.sql, action.id, plan.journal);
    return kind === 'moved' ? plan.journal : { kind: 'superseded' };
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.facts.retryable) throw error;
    return refuse(deps, action.id, error);
  }
}

async function planOf({ sql, changes }: Deps, action: ActionToRun, signal: AbortSignal): Promise<Plan> {
  const { id: actionId, project_path: projectPath, base_commit: base, result_commit: result } = action;
  const place = { projectPath: projectPath ?? undefined, actionId, signal };
  if (action.kind === 'undo') {
    const applied = journalSchema.safeParse(await appliedJournal(sql, action.change_id));
    if (applied.success) return changes.planUndo({ ...place, applied: applied.data });
    throw new LonghaulError(
      'change_not_applicable',
      'No action of Longhaul has applied this change, so Longhaul cannot undo it.',
    );
  }
  if (base !== null && result !== null) return changes.planApply({ ...place, base, result });
  throw new LonghaulError(
    'change_not_applicable',
    'The change names no commits: another program made it. `longhaul diff` prints its patch.',
  );
}

const tagOf = ({ id }: Pick<ActionToRun, 'id'>): string => shortId(id);

async function refuseConflict(
  deps: Deps,
  action: ActionToRun,
  paths: readonly ConflictingPath[],
): Promise<ActionResult> {
  const earlier = action.kind === 'apply' ? await earlierPending(deps.sql, action.change_id) : [];
  const hint =
    earlier.length === 0
      ? ''
      : ` Earlier changes of its session are not applied: apply ${earlier.map(shortId).join(', ')} first.`;
  const error = conflictError(action.kind, action.project_path ?? '', paths, hint);
  return refuse(deps, action.id, error, paths);
}

async function refuse(
  { sql }: Deps,
  id: ActionId,
  { code, message }: { readonly code: ErrorCode; readonly message: string },
  paths: readonly ConflictingPath[] = [],
): Promise<ActionResult> {
  const named = paths.map(({ path, reason }) => ({ ...filePath(path), reason }));
  const { kind } = await refuseAction(sql, id, { code, message, ...(named.length > 0 && { paths: named }) });
  return kind === 'moved' ? { kind: 'refused', code } : { kind: 'superseded' };
}

function changedMeanwhile({ checkout }: Journal, path: Buffer): ActionFailure {
  const named = filePath(path);
  return {
    code: 'change_conflict',
    message: `${named.path} in ${checkout} was changed while the change was being written. The other files are as they were before. Run the command again.`,
    paths: [{ ...named, reason: 'it was changed meanwhile' }],
  };
}

const failureIn = ({ error_code: code, message }: ActionToRun): ActionFailure => ({
  code: code ?? 'internal_error',
  message: message ?? 'The files could not be written. The log of the worker has the error.',
});

/** Ends an action that cannot be completed: restores the files that were written and records the reason. */
async function abandon(
  deps: Deps,
  action: ActionToRun,
  failure: ActionFailure,
  signal: AbortSignal,
): Promise<ActionResult> {
  if (action.state === 'requested') return refuse(deps, action.id, failure);
  if (action.state === 'writing') {
    const { kind } = await beginTakingBack(deps.sql, action.id, failure);
    if (kind === 'superseded') return { kind: 'superseded' };
  }
  return restore(deps, action, failure, signal);
}

async function restore(
  deps: Deps,
  action: ActionToRun,
  failure: ActionFailure,
  signal: AbortSignal,
): Promise<ActionResult> {
  const journal = journalSchema.parse(action.journal);
  const { left } = await deps.changes.takeBack({ journal, tag: tagOf(action), signal });
  const names = left.map((path) => filePath(path).path).join(', ');
  const message = left.length === 0 ? failure.message : `${failure.message} Left as they are: ${names}.`;
  const paths = left.map((path) => ({ ...filePath(path), reason: 'it was changed meanwhile' }));
  const { kind } = await refuseAction(deps.sql, action.id, { ...failure, message, paths });
  return kind === 'moved' ? { kind: 'refused', code: failure.code } : { kind: 'superseded' };
}
