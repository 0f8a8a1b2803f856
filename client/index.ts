/**
 * The public interface that other programs import as `longhaul/client`. It lists all supported names; everything else
 * in the package may change with any version.
 */
export { cancel, type CancelDeps, type CancelOutcome } from './cancel.ts';
export { type Longhaul, type LonghaulOptions, openLonghaul } from './connection.ts';
export { type FollowedFrame, type FollowTask, followTask } from './follow-task.ts';
export { type Submission, type SubmitDeps, submit, type SubmittedTask } from './submit.ts';
export { resolveTaskId, taskId } from './task-ids.ts';
export { describe, getDiff, listTasks, type ReadDeps, type TaskDescription } from './tasks.ts';
export type { TemporalTarget } from './temporal.ts';
export type { TaskId } from '../contract/ids.ts';
export type { TaskState } from '../contract/task.ts';
export { type ErrorCode, LonghaulError } from '../contract/errors.ts';
