/** `longhaul answer`: the answer to a permission request. */
import { answerPermission, getPermission, listPermissions, type Permission } from '../client/permissions.ts';
import { findId, notFoundError } from '../client/short-ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type PermissionId, shortId } from '../contract/ids.ts';
import { chosenOption, optionName } from '../contract/permission-answer.ts';
import { runCommand } from './exit.ts';
import { contentOf } from './form-values.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { optionNumbers } from './option-lines.ts';
import { harmless } from './terminal.ts';

const WORDS = ['allow', 'deny', 'always'];

interface Options {
  readonly message?: string;
  readonly set?: readonly string[];
  readonly content?: string;
  readonly json?: boolean;
}

export const answerAction = (text: string, answer: string, options: Options) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const id = await permissionIdOf(longhaul, text);
      const { message } = options;
      const asked = await getPermission(longhaul, id);
      const chosen = numbered(asked, answer);
      const content = contentIn(asked, options);
      const answered = await answerPermission(longhaul, {
        id,
        answer: chosen,
        by: 'cli',
        ...(message === undefined ? {} : { message }),
        ...(content === undefined ? {} : { content }),
      });
      process.stdout.write(`${options.json ? JSON.stringify(answered) : answeredText(answered)}\n`);
    }),
  );

/**
 * Resolves the user's text to the id of a permission request. Fails with `permission_not_found`. If the text is the id
 * of a task, the message of this error lists the task's open requests.
 */
async function permissionIdOf(longhaul: CommandContext['longhaul'], text: string): Promise<PermissionId> {
  const id = await findId(longhaul.sql, 'permission', text);
  if (id !== undefined) return id;
  const taskId = await findId(longhaul.sql, 'task', text);
  if (taskId === undefined) throw notFoundError('permission', text);
  const open = await listPermissions(longhaul, { taskId, state: 'pending' });
  const lines = open.map((one) => `\n  ${shortId(one.id)}  ${harmless(one.title).split('\n', 1)[0] ?? ''}`);
  const waits = open.length === 0 ? 'None of its requests waits for an answer.' : `Its open requests:${lines.join('')}`;
  throw new LonghaulError('permission_not_found', `${text} is a task, not a permission request. ${waits}`);
}

/** Returns the values for a form's fields that the options give. Returns undefined if they give none. */
function contentIn({ elicitation }: Permission, { set, content }: Options): unknown {
  if (set === undefined && content === undefined) return undefined;
  if (elicitation?.mode !== 'form') {
    throw new LonghaulError('invalid_input', `${set ? '--set' : '--content'}: expected it for a form only.`);
  }
  return { ...(content === undefined ? {} : parsedContent(content)), ...contentOf(elicitation, set ?? []) };
}

function parsedContent(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // The text is not JSON. The error below reports this.
  }
  throw new LonghaulError('invalid_input', `--content: expected a JSON object, found ${text}.`);
}

/**
 * Returns the id of the option that the user chose, or the effect that the user typed. If a number is the id of one
 * option and the position of another, the id has precedence. An answer that is neither an effect nor an id nor a number
 * is refused, with a message that lists the options.
 */
function numbered({ options }: Permission, answer: string): string {
  if (options.some(({ option_id: id }) => id === answer)) return answer;
  if (!/^\d+$/.test(answer) && chosenOption(options, answer) !== undefined) return answer;
  const option = options[Number(answer) - 1];
  if (option !== undefined) return option.option_id;
  const words = WORDS.filter((word) => chosenOption(options, word) !== undefined).join(', ');
  const expected =
    options.length === 0
      ? 'no answer, because the agent offers none'
      : `${words}${words ? ' or ' : ''}one of the numbers ${optionNumbers(options)}`;
  throw new LonghaulError('invalid_input', `answer: expected ${expected}; found ${answer}.`);
}

function answeredText({ id, chosen, options, task_id: taskId }: Permission): string {
  const name = chosen === null ? chosen : optionName(options, chosen);
  return `permission ${shortId(id)} is answered: ${name}; task ${shortId(taskId)} continues`;
}
