/** The warning about edits in the checkout that the agent does not see. */
import path from 'node:path';
import { expect, test } from 'vitest';
import { warnOfEdits } from '../../activities/warn-of-edits.ts';
import type { StepDeps } from '../../activities/step.ts';
import { makeWorktrees } from '../../worktrees/worktrees.ts';
import { freshDatabase } from '../lab/database.ts';
import { labSession } from '../lab/log.ts';
import { makeFolder, makeRepository, removeFolder } from '../lab/repositories.ts';

test('the warning names where the agent starts: the last commit, or in a session the result of the previous task', async () => {
  const [database, root] = [await freshDatabase(), await makeFolder()];
  const { sql } = database;
  const repository = await makeRepository(path.join(root, 'project'));
  await repository.write({ 'new.txt': 'new\n' });
  const { sessionId, taskId } = await labSession(sql);
  await sql`INSERT INTO projects (id, name, path) SELECT project_id, 'p', ${repository.path} FROM tasks`;
  const [other] = await sql<{ id: string }[]>`
    INSERT INTO tasks (input, session_id, state) VALUES ('before', ${sessionId}, 'completed') RETURNING id`;
  const deps = { sql, worktrees: makeWorktrees({ locksDir: path.join(root, 'locks') }) } as unknown as StepDeps;
  const warned = async (): Promise<unknown> => {
    await warnOfEdits(deps, taskId, new AbortController().signal);
    const rows = await sql<{ message: string }[]>`DELETE FROM frames RETURNING body ->> 'message' AS message`;
    return rows[0]?.message;
  };
  await sql`UPDATE tasks SET base_commit = 'c1' WHERE id = ${taskId}`;
  const edits = `The checkout in ${repository.path} has 1 uncommitted edit: not included, the agent starts from`;
  expect(await warned()).toBe(`${edits} the last commit.`);
  await sql`
    INSERT INTO pending_changes (session_id, task_id, state, result_commit) VALUES (${sessionId}, ${other?.id ?? ''}, 'pending', 'c1')`;
  expect(await warned()).toBe(`${edits} the result of task ${other?.id.slice(0, 8)}.`);
  await database.drop();
  await removeFolder(root);
});
