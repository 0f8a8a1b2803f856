/** Defines the actions on a change that a user can request, and the steps that carry them out. */
import type { ErrorCode } from './errors.ts';
import type { ActionId } from './ids.ts';

/** The kinds of action. `reject` has no step, because it changes only rows. */
export type ActionKind = 'apply' | 'undo' | 'reject';

/**
 * The state of an action: `requested`, then `writing`, then `done` or `refused`. It is `taking_back` while the files
 * that were written are restored, because another file could not be written.
 */
export type ActionState = 'requested' | 'writing' | 'taking_back' | 'done' | 'refused';

/** The only target of an action: the files of the project's checkout. */
export const WORKING_TREE = 'working_tree';

/**
 * The argument of the workflow `apply` and of its steps. It has only the action's id, so that Temporal's history
 * contains no paths.
 */
export interface ActionInput {
  readonly actionId: ActionId;
}

export interface ActionRunInput extends ActionInput {
  readonly host: string;
}

export type ActionResult =
  | { readonly kind: 'done' }
  /** Nothing was changed, or the files that were written were restored. The action's row has the error. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  /** The row of the change or of the action was removed, or another program changed it. */
  | { readonly kind: 'superseded' };

export interface ActionSteps {
  carryOutAction(input: ActionInput): Promise<ActionResult>;
  /** Ends an action whose step failed permanently, and restores the files that were written. */
  abandonAction(input: ActionInput): Promise<ActionResult>;
}
