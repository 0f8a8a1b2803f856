/** `longhaul ls`: tasks, newest first, or sessions. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ChangeState } from '../contract/vocabulary.ts';
import { findProjects } from '../client/projects.ts';
import { findSessions } from '../client/sessions.ts';
import { resolveId } from '../client/short-ids.ts';
import { listTasks, type TaskFilter } from '../client/tasks.ts';
import { type Phase, PHASES, TASK_STATES, type TaskState } from '../contract/task.ts';
import { runCommand } from './exit.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { sessionTable } from './session-text.ts';
import { tableText } from './task-text.ts';
import { painter } from './terminal.ts';

interface ListOptions {
  readonly sessions?: boolean;
  readonly state?: TaskState | Phase;
  readonly change?: ChangeState;
  readonly project?: string;
  readonly session?: string;
  readonly search?: string;
  readonly limit: number;
  readonly json?: boolean;
}

export const lsAction = (options: ListOptions) =>
  runCommand(options, () =>
    withLonghaul((context) => (options.sessions ? showSessions(context, options) : showTasks(context, options))),
  );

async function showTasks({ longhaul }: CommandContext, options: ListOptions): Promise<void> {
  const { state, limit, change, search, session } = options;
  const filter: TaskFilter = {
    limit,
    ...stateFilter(state),
    ...(await projectFilter({ longhaul }, options)),
    ...(change !== undefined && { changeState: change }),
    ...(search !== undefined && { text: search }),
    ...(session !== undefined && { sessionId: await resolveId(longhaul.sql, 'session', session) }),
  };
  const isFiltered = Object.keys(filter).length > 1;
  const tasks = await listTasks(longhaul, filter);
  if (options.json) process.stdout.write(`${JSON.stringify(tasks, undefined, 2)}\n`);
  else if (tasks.length === 0)
    process.stdout.write(isFiltered ? 'no such tasks\n' : 'no tasks; `longhaul run` submits one\n');
  else process.stdout.write(`${tableText(tasks, tableOptions())}\n`);
}

async function showSessions({ longhaul }: CommandContext, options: ListOptions): Promise<void> {
  const { limit, search, json } = options;
  const project = await projectFilter({ longhaul }, options);
  const sessions = await findSessions(longhaul, { limit, ...project, ...(search !== undefined && { text: search }) });
  if (json) process.stdout.write(`${JSON.stringify(sessions, undefined, 2)}\n`);
  else if (sessions.length === 0) process.stdout.write('no such sessions; a task creates its session when it starts\n');
  else process.stdout.write(`${sessionTable(sessions, tableOptions())}\n`);
}

const tableOptions = () => ({
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  now: Date.now(),
  paint: painter(process.stdout),
});

async function projectFilter(
  { longhaul }: Pick<CommandContext, 'longhaul'>,
  { project }: ListOptions,
): Promise<Pick<TaskFilter, 'projectIds'>> {
  if (project === undefined) return {};
  return { projectIds: await findProjects(longhaul, existsSync(project) ? resolve(project) : project) };
}

function stateFilter(state: TaskState | Phase | undefined): Pick<TaskFilter, 'states' | 'phases'> {
  const known = TASK_STATES.find((one) => one === state);
  const phase = PHASES.find((one) => one === state);
  return { ...(known && { states: [known] }), ...(phase && { phases: [phase] }) };
}
