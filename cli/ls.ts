/** `longhaul ls`: tasks, newest first, or sessions. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { CHANGE_STATES, type ChangeState } from '../client/changes.ts';
import { findProjects } from '../client/projects.ts';
import { findSessions } from '../client/sessions.ts';
import { resolveId } from '../client/short-ids.ts';
import { listTasks, type TaskFilter } from '../client/tasks.ts';
import { type Phase, PHASES, TASK_STATES, type TaskState } from '../contract/task.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { sessionTable } from './session-text.ts';
import { notEmpty, numberFromOne } from './submission.ts';
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

export function registerLs(program: Command): void {
  const command = program
    .command('ls')
    .addOption(
      new Option('--sessions', 'list sessions, the one with the newest task first').conflicts([
        'state',
        'change',
        'session',
      ]),
    )
    .addOption(
      new Option('--state <state>', 'only tasks in this state, or in this phase of a running task').choices([
        ...TASK_STATES,
        ...PHASES,
      ]),
    )
    .addOption(new Option('--change <state>', 'only tasks whose change is in this state').choices(CHANGE_STATES))
    .option('--project <project>', 'only tasks of this project: a folder in its repository, or its name', notEmpty)
    .option('--session <session>', 'only tasks of this session; id, or the beginning of one')
    .option('--search <text>', 'only tasks with this text in the input or in the summary', notEmpty)
    .option('--limit <count>', 'maximum number', numberFromOne, 20)
    .option('--json', 'for programs')
    .action((options: ListOptions) =>
      runCommand(options, () =>
        withLonghaul((context) => (options.sessions ? showSessions(context, options) : showTasks(context, options))),
      ),
    );
  withExamples(
    command,
    ['longhaul ls'],
    ['longhaul ls --project . --change pending', 'changes of this project that wait for review'],
    ['longhaul ls --state failed --limit 5'],
    ['longhaul ls --sessions', 'to continue one: longhaul run --session 1a2b3c4d …'],
  );
}

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
