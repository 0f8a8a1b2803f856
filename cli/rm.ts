/** `longhaul rm`: removes an ended task from the database. */
import { createInterface } from 'node:readline/promises';
import { type RemovedTask, removeTask } from '../client/remove-task.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe, type TaskDescription } from '../client/tasks.ts';
import { isFinal } from '../contract/task.ts';
import { LonghaulError } from '../contract/errors.ts';
import { EXIT, runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';
import { changeText, firstLine } from './task-text.ts';
import { fit, harmless } from './terminal.ts';
import { shortId } from '../contract/ids.ts';
import { repositoryOfResult } from '../maintenance/fetch-results.ts';

interface RemoveOptions {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export const rmAction = (text: string, options: RemoveOptions) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul, services }) => {
      const task = await describe(longhaul, await resolveTaskId(longhaul.sql, text));
      // The user is asked to confirm only for an ended task, because `removeTask` refuses any other task.
      if (isFinal(task.state) && !options.yes && !(await confirmed(task))) {
        process.stdout.write('not removed\n');
        return EXIT.cancelled;
      }
      const removed = await removeTask(longhaul, task.id);
      const place = await repositoryOfResult(services.settings.home, removed.projectPath, task.id);
      process.stdout.write(
        options.json ? `${JSON.stringify(removedJson(task, removed))}\n` : removedText(task, removed, place),
      );
      return EXIT.done;
    }),
  );

async function confirmed(task: TaskDescription): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new LonghaulError(
      'invalid_input',
      '`longhaul rm` asks before it removes, and stdin or stdout is no terminal: use `longhaul rm --yes`.',
    );
  }
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const what = `${shortId(task.id)} "${fit(firstLine(task.input), 40)}"`;
    const answer = await lines.question(
      `Remove task ${what} with its messages and its change (${changeText(task.change)})? [y/N] `,
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}

const resultRef = (task: TaskDescription): string => `refs/longhaul/tasks/${task.id}`;

function removedJson(task: TaskDescription, { session, resultCommit, projectPath }: RemovedTask): object {
  const kept = resultCommit === null ? null : { ref: resultRef(task), commit: resultCommit, project_path: projectPath };
  return { task_id: task.id, removed: true, session, kept_result: kept };
}

function removedText(task: TaskDescription, { resultCommit }: RemovedTask, place: string | null): string {
  const lines = [`task ${shortId(task.id)} is removed`];
  if (resultCommit !== null) {
    const where = place === null ? '' : ` in ${place}`;
    lines.push(
      `  Its result stays${where}: commit ${shortId(resultCommit)}. Later tasks of the session may be based on it.`,
    );
    lines.push('  `longhaul gc --refs 0` removes the results of all removed tasks.');
  }
  if (task.kept_worktree !== null)
    lines.push(
      `  Its worktree was kept: ${harmless(task.kept_worktree)}`,
      '  `longhaul gc --kept` deletes it, with edits that are in no commit.',
    );
  return `${lines.join('\n')}\n`;
}
