/**
 * Stores an answer to a permission request that arrived as a Temporal update. The request's row decides whether the
 * answer counts, as for an answer through any other channel.
 */
import { answerPermission, getPermission } from '../frames/permissions.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { AnswerInput } from '../contract/steps.ts';
import type { StepDeps } from './step.ts';

export function makeAnswerPermission({ sql }: Pick<StepDeps, 'sql'>) {
  return async function answer({ taskId, permissionId, answer, message, content }: AnswerInput): Promise<string> {
    const asked = await getPermission(sql, permissionId);
    if (asked.task_id !== taskId) {
      throw new LonghaulError(
        'permission_not_found',
        `Permission ${permissionId} belongs to task ${asked.task_id}, not to ${taskId}.`,
      );
    }
    const given = { id: permissionId, answer, by: 'temporal', content, ...(message === undefined ? {} : { message }) };
    const { chosen } = await answerPermission(sql, given);
    return chosen ?? '';
  };
}
