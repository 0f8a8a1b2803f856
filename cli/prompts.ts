/** `longhaul prompts`: lists the permission requests that wait for a person. */
import { listPermissions, type Permission } from '../client/permissions.ts';
import { shortId } from '../contract/ids.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';
import { elicitationLines } from './form-values.ts';
import { optionLines } from './option-lines.ts';
import { requestLines } from './request-lines.ts';
import { harmless } from './terminal.ts';

export const promptsAction = (options: { json?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const waiting = await listPermissions(longhaul, { state: 'pending' });
      const shown = options.json ? JSON.stringify(waiting, undefined, 2) : promptsText(waiting);
      process.stdout.write(`${shown}\n`);
    }),
  );

function promptsText(waiting: readonly Permission[]): string {
  if (waiting.length === 0) return 'no agent waits for an answer';
  return waiting.map((one) => promptLines(one).join('\n')).join('\n\n');
}

/** Returns the request's title, its complete content, and the numbered options. */
function promptLines(asked: Permission): string[] {
  const lines = harmless(asked.title).trimEnd().split('\n');
  return [
    `? ${shortId(asked.id)}  ${lines[0] ?? ''}  (task ${shortId(asked.task_id)})`,
    ...lines.slice(1).map((line) => `  ${line}`),
    ...detailLines(asked).map((line) => `    ${harmless(line)}`),
    ...optionLines(asked.options),
    ...(asked.expires_at === null ? [] : [`  at ${asked.expires_at} the answer is ${asked.default_option ?? 'none'}`]),
  ];
}

function detailLines({ tool_call: call, elicitation, title, session_id: sessionId }: Permission): string[] {
  if (elicitation) return elicitationLines(elicitation);
  return call === null ? [] : requestLines({ call, title, sessionId });
}
