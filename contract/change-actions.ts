/** Actions on a change: what a user asks for, and the steps that carry it out. */
import type { ErrorCode } from './errors.ts';
import type { ActionId } from './ids.ts';

/** `reject` needs no step: it only changes the row. */
export type ActionKind = 'apply' | 'undo' | 'reject';

/**
 * `requested` → `writing` → `done`, or `refused`. `taking_back`: the files that were written are restored, because
 * another file could not be written.
 */
export type ActionState = 'requested' | 'writing' | 'taking_back' | 'done' | 'refused';

/** Where the files of a change go: into the files of the project's checkout. */
export const WORKING_TREE = 'working_tree';

/** The argument of the workflow `apply` and of its steps. It has only an id, so that paths do not enter the history. */
export interface ActionInput {
  readonly actionId: ActionId;
}

export interface ActionRunInput extends ActionInput {
  readonly host: string;
}

export type ActionResult =
  | { readonly kind: 'done' }
  /** Nothing was changed, or what was changed was restored. The action's row has the reason. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  /** The row of the change or of the action was removed, or another program changed it. */
  | { readonly kind: 'superseded' };

export interface ActionSteps {
  carryOutAction(input: ActionInput): Promise<ActionResult>;
  /** Ends an action whose step failed: restores what was written. */
  abandonAction(input: ActionInput): Promise<ActionResult>;
}
