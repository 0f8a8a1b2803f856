/** In a terminal that follows a task, a digit key answers the oldest open permission request. */
import type { Longhaul } from '../client/connection.ts';
import type { FollowedFrame } from '../client/follow-task.ts';
import { answerPermission } from '../client/permissions.ts';
import { messageOf } from '../contract/errors.ts';
import type { PermissionId, TaskId } from '../contract/ids.ts';
import type { PermissionOption } from '../contract/vocabulary.ts';

export class AnswerKeys {
  readonly #longhaul: Longhaul;
  readonly #taskId: TaskId;
  readonly #say: (text: string) => void;
  readonly #waiting = new Map<PermissionId, readonly PermissionOption[]>();

  constructor(longhaul: Longhaul, { taskId, say }: { taskId: TaskId; say: (text: string) => void }) {
    this.#longhaul = longhaul;
    this.#taskId = taskId;
    this.#say = say;
  }

  see(frame: FollowedFrame): void {
    if (frame.type === 'permission_requested') this.#waiting.set(frame.permission_id, frame.options);
    if (frame.type === 'permission_resolved') this.#waiting.delete(frame.permission_id);
    if (frame.type !== 'snapshot') return;
    this.#waiting.clear();
    for (const { task_id: taskId, permission_id: id, options } of frame.permissions) {
      if (taskId === this.#taskId) this.#waiting.set(id, options);
    }
  }

  /**
   * Answers the oldest open request with the option whose number was pressed. The timeline shows the answer when its
   * frame arrives.
   */
  press(key: string): void {
    const [oldest] = this.#waiting;
    const option = oldest?.[1][Number(key) - 1];
    if (!oldest || !option) return;
    const [id] = oldest;
    this.#waiting.delete(id);
    answerPermission(this.#longhaul, { id, answer: option.option_id, by: 'cli' }).catch((error: unknown) => {
      this.#say(messageOf(error));
    });
  }
}
