/**
 * Answers permission requests by keys in a terminal that follows a task. A digit answers the oldest open request with
 * the option that has this number. To accept a form, the user types the values of its fields one after the other.
 */
import type { Longhaul } from '../client/connection.ts';
import type { FollowedFrame } from '../client/follow-task.ts';
import { answerPermission } from '../client/permissions.ts';
import type { Elicitation } from '../contract/elicitation.ts';
import { messageOf } from '../contract/errors.ts';
import type { PermissionId, TaskId } from '../contract/ids.ts';
import type { PermissionOption } from '../contract/vocabulary.ts';
import { FormKeys } from './form-keys.ts';
import { optionNumbers } from './option-lines.ts';

interface OpenRequest {
  readonly options: readonly PermissionOption[];
  readonly elicitation: Elicitation | null;
}

export class AnswerKeys {
  readonly #longhaul: Longhaul;
  readonly #taskId: TaskId;
  readonly #say: (text: string) => void;
  readonly #waiting = new Map<PermissionId, OpenRequest>();
  #form: { readonly id: PermissionId; readonly keys: FormKeys } | undefined;

  constructor(longhaul: Longhaul, { taskId, say }: { taskId: TaskId; say: (text: string) => void }) {
    this.#longhaul = longhaul;
    this.#taskId = taskId;
    this.#say = say;
  }

  see(frame: FollowedFrame): void {
    if (frame.type === 'permission_requested') {
      this.#waiting.set(frame.permission_id, { options: frame.options, elicitation: frame.elicitation ?? null });
    }
    if (frame.type === 'permission_resolved') this.#remove(frame.permission_id);
    if (frame.type !== 'snapshot') return;
    this.#waiting.clear();
    for (const { task_id: taskId, permission_id: id, options, elicitation } of frame.permissions) {
      if (taskId === this.#taskId) this.#waiting.set(id, { options, elicitation });
    }
    if (this.#form && !this.#waiting.has(this.#form.id)) this.#form = undefined;
  }

  /** The text that the user has typed into a form. Undefined if no form is open. */
  get typing(): string | undefined {
    return this.#form?.keys.shown;
  }

  /**
   * Answers the oldest open request with the option whose number was pressed. The timeline shows the answer when its
   * frame arrives.
   */
  press(key: string): void {
    if (this.#form) return this.#type(key);
    const [oldest] = this.#waiting;
    if (!oldest || !/^\d$/.test(key)) return;
    const [id, { options, elicitation }] = oldest;
    const option = options[Number(key) - 1];
    if (!option) return this.#say(`${key} is no option; press ${optionNumbers(options) || 'nothing: there is none'}`);
    if (option.option_id === 'accept' && elicitation?.mode === 'form' && elicitation.fields.length > 0) {
      this.#form = { id, keys: new FormKeys(elicitation, this.#say) };
      return;
    }
    this.#remove(id);
    this.#send(id, option.option_id);
  }

  #type(key: string): void {
    if (!this.#form) return;
    const { id, keys } = this.#form;
    const done = keys.press(key);
    if (done === undefined) return;
    this.#form = undefined;
    if (done === 'left') this.#say('the form is not sent; a digit answers as before');
    else this.#send(id, 'accept', done);
  }

  #remove(id: PermissionId): void {
    this.#waiting.delete(id);
    if (this.#form?.id === id) this.#form = undefined;
  }

  #send(id: PermissionId, answer: string, content?: object): void {
    const given = { id, answer, by: 'cli', ...(content && { content }) };
    answerPermission(this.#longhaul, given).catch((error: unknown) => this.#say(messageOf(error)));
  }
}
