/** The commands `longhaul send` and `longhaul reply`, which continue a session with another message. */
import { type FollowUp, messageTo, replyTo } from '../client/follow-up.ts';
import { getQueue, resolveSession } from '../client/session-queue.ts';
import { submit, type Submission } from '../client/submit.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe } from '../client/tasks.ts';
import type { SessionId } from '../contract/ids.ts';
import { shortId } from '../contract/ids.ts';
import type { FollowUpOptions } from './definitions/send.ts';
import { runCommand } from './exit.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { inputFrom } from './submission.ts';
import { harmless } from './terminal.ts';

export const sendAction = (text: string, words: string[], options: FollowUpOptions) =>
  followUp(words, options, async ({ longhaul }, message) =>
    messageTo(longhaul, await resolveSession(longhaul, text), message),
  );

export const replyAction = (text: string, words: string[], options: FollowUpOptions) =>
  followUp(words, options, async ({ longhaul }, message) =>
    replyTo(longhaul, await resolveTaskId(longhaul.sql, text), message),
  );

function followUp(
  words: readonly string[],
  options: FollowUpOptions,
  submissionOf: (context: CommandContext, message: FollowUp) => Promise<Submission>,
): Promise<void> {
  return runCommand(options, () =>
    withLonghaul(async (context) => {
      const { longhaul, services } = context;
      const submission = await submissionOf(context, await messageFrom(words, options));
      const deps = { ...longhaul, temporal: longhaul.temporal, projectRoots: services.settings.projectRoots };
      const { taskId, note, interrupted } = await submit(deps, submission);
      if (note !== undefined) process.stderr.write(`note: ${harmless(note)}\n`);
      const task = await describe(longhaul, taskId);
      process.stdout.write(`${options.json ? JSON.stringify(task) : taskId}\n`);
      if (options.json || !process.stdout.isTTY) return;
      if (interrupted) process.stdout.write(`  task ${shortId(interrupted)} is being cancelled\n`);
      process.stdout.write(
        `${await waitText(context, submission.sessionId as SessionId)}  longhaul watch ${shortId(taskId)}    follow it\n`,
      );
    }),
  );
}

async function messageFrom(words: readonly string[], options: FollowUpOptions): Promise<FollowUp> {
  const { interrupt, agent, model, mode, thinking, chat } = options;
  return {
    input: await inputFrom(words),
    ...(interrupt && { interrupt }),
    ...(agent !== undefined && { agent }),
    ...(model !== undefined && { model }),
    ...(mode !== undefined && { modeId: mode }),
    ...(thinking !== undefined && { thinkingOptionId: thinking }),
    ...(chat !== undefined && { chatId: chat }),
  };
}

/**
 * Returns a line that says that the queue is held, because a held queue does not start the new task. Returns an empty
 * text if the queue is not held.
 */
async function waitText({ longhaul }: CommandContext, sessionId: SessionId): Promise<string> {
  const { held_since: held } = await getQueue(longhaul, sessionId);
  return held === null ? '' : `  the queue is held; longhaul queue release ${shortId(sessionId)}    starts its tasks\n`;
}
