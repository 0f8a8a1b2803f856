/** Changes for the tests of `longhaul diff`: their projects, and checkouts that take them. */
import path from 'node:path';
import { afterAll } from 'vitest';
import type { Files } from '../lab/repositories.ts';
import { type ChangeLab, type ChangeProject, checkoutOf, openChangeLab, type QueuedTask } from './change-lab.ts';

interface DiffLab {
  readonly lab: ChangeLab;
  readonly newProject: (files?: Files) => Promise<ChangeProject>;
  readonly changed: (
    project: ChangeProject,
    work: (worktree: string) => Promise<void>,
    before?: QueuedTask,
  ) => Promise<QueuedTask>;
  readonly checkout: (project: ChangeProject, commit: string) => Promise<string>;
  readonly treeOf: (project: ChangeProject, commit: string) => Promise<string>;
  readonly jsonOf: (...args: string[]) => Promise<Record<string, unknown>>;
}

/** One database and one folder for the tests of a file. */
export async function openDiffLab(): Promise<DiffLab> {
  const lab = await openChangeLab();
  afterAll(() => lab.close());
  let number = 0;
  return {
    lab,
    newProject: (files) => lab.project(files, `project-${(number += 1)}`),
    async changed(project, work, before) {
      const task = await project.change(work, before);
      if (!task) throw new Error('expected a change');
      return task;
    },
    checkout: (project, commit) => checkoutOf(project, path.join(lab.root, `checkout-${(number += 1)}`), commit),
    treeOf: (project, commit) => project.results('rev-parse', `${commit}^{tree}`),
    jsonOf: async (...args) => {
      const { stdout } = await lab.longhaul(lab.root, 'diff', ...args, '--json');
      return JSON.parse(stdout.toString()) as Record<string, unknown>;
    },
  };
}
