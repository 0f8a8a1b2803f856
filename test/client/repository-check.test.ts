import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { repositoryAt } from '../../client/projects.ts';
import { refuseWithoutCommit } from '../../client/repository-check.ts';
import { submit } from '../../client/submit.ts';
import { freshDatabase } from '../lab/database.ts';
import { gitIn, makeFolder, makeRepository, removeFolder } from '../lab/repositories.ts';

async function folder(): Promise<string> {
  const root = await makeFolder();
  onTestFinished(() => removeFolder(root));
  return root;
}

test('a repository without a commit is refused, one with a commit is accepted in every ref format', async () => {
  const root = await folder();
  const empty = await makeRepository(path.join(root, 'empty'), {});
  await expect(refuseWithoutCommit(empty.path)).rejects.toMatchObject({
    code: 'empty_repository',
    message: `The repository in ${empty.path} has no commit to start from. Make a first commit there and try again.`,
  });
  const full = await makeRepository(path.join(root, 'full'));
  await refuseWithoutCommit(full.path);
  await full.git('pack-refs', '--all');
  await refuseWithoutCommit(full.path);
  await full.git('checkout', '--quiet', '--detach');
  await refuseWithoutCommit(full.path);
  await full.git('worktree', 'add', '--quiet', path.join(root, 'linked'));
  await refuseWithoutCommit(path.join(root, 'linked'));
});

test('the message names a bare repository as such', async () => {
  const root = await folder();
  await gitIn(root, 'init', '--quiet', '--bare', 'bare.git');
  await expect(repositoryAt(path.join(root, 'bare.git'))).rejects.toMatchObject({
    code: 'not_a_repository',
    message: expect.stringContaining('is a bare repository') as string,
  });
});

test('a task for a repository without a commit is refused before a row is inserted', async () => {
  const database = await freshDatabase();
  onTestFinished(() => database.drop());
  const { sql } = database;
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true)`;
  const empty = await makeRepository(path.join(await folder(), 'empty'), {});
  const refused = { code: 'empty_repository' };
  const task = { input: 'x', agent: 'demo' };
  await expect(submit({ sql }, { ...task, projectPath: empty.path })).rejects.toMatchObject(refused);
  const [project] = await sql<{ id: string }[]>`SELECT id FROM projects`;
  await expect(submit({ sql }, { ...task, projectId: project?.id ?? '' })).rejects.toMatchObject(refused);
  expect(await sql`SELECT FROM tasks`).toHaveLength(0);
});
