/**
 * `longhaul fetch`: copies the commit of a task's result, and branches that its agent made, into the project as refs.
 */
import type { Longhaul } from '../client/connection.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe } from '../client/tasks.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { fetchResults, type FetchedRef } from '../maintenance/fetch-results.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';

export const fetchAction = (text: string, options: { readonly json?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul, services }) => {
      const taskId = await resolveTaskId(longhaul.sql, text);
      const fetched = await fetchInto(longhaul, services.settings.home, taskId);
      process.stdout.write(options.json ? `${JSON.stringify(fetched)}\n` : textOf(fetched));
    }),
  );

interface Fetched {
  readonly task_id: TaskId;
  readonly project_path: string;
  readonly refs: readonly FetchedRef[];
}

async function fetchInto(longhaul: Longhaul, home: string, taskId: TaskId): Promise<Fetched> {
  const { project_path: projectPath } = await describe(longhaul, taskId);
  if (projectPath === null)
    throw new LonghaulError(
      'project_has_no_path',
      `The project of task ${shortId(taskId)} has no path: there is no repository to fetch into.`,
    );
  const refs = await fetchResults(home, projectPath, taskId);
  if (refs.length > 0) return { task_id: taskId, project_path: projectPath, refs };
  throw new LonghaulError(
    'change_not_found',
    `Task ${shortId(taskId)} has no result: it changed nothing, or the ref was removed. longhaul show ${shortId(taskId)} shows how it ended.`,
  );
}

const textOf = ({ project_path: folder, refs }: Fetched): string =>
  refs.map(({ ref, commit }) => `${ref} is ${commit.slice(0, 12)} in ${folder}\n`).join('');
