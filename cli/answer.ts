/** `longhaul answer`: the answer to a permission request. */
import { answerPermission, getPermission, type Permission } from '../client/permissions.ts';
import { resolveId } from '../client/short-ids.ts';
import { shortId } from '../contract/ids.ts';
import { optionName } from '../contract/permission-answer.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';

export const answerAction = (text: string, answer: string, options: { message?: string; json?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const id = await resolveId(longhaul.sql, 'permission', text);
      const { message } = options;
      const chosen = numbered(await getPermission(longhaul, id), answer);
      const answered = await answerPermission(longhaul, {
        id,
        answer: chosen,
        by: 'cli',
        ...(message === undefined ? {} : { message }),
      });
      process.stdout.write(`${options.json ? JSON.stringify(answered) : answeredText(answered)}\n`);
    }),
  );

/** An id of an option that is a number counts before the number of an option. */
function numbered({ options }: Permission, answer: string): string {
  if (options.some(({ option_id: id }) => id === answer) || !/^[1-9]\d?$/.test(answer)) return answer;
  return options[Number(answer) - 1]?.option_id ?? answer;
}

function answeredText({ id, chosen, options, task_id: taskId }: Permission): string {
  const name = chosen === null ? chosen : optionName(options, chosen);
  return `permission ${shortId(id)} is answered: ${name}; task ${shortId(taskId)} continues`;
}
