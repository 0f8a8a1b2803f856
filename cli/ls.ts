/** `longhaul ls`: tasks, newest first. */
import { type Command, Option } from 'commander';
import { listTasks, type TaskFilter } from '../client/tasks.ts';
import { type Phase, PHASES, TASK_STATES, type TaskState } from '../workflows/contract.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { withLonghaul } from './longhaul.ts';
import { wholeNumber } from './submission.ts';
import { tableText } from './task-text.ts';
import { painter } from './terminal.ts';

interface ListOptions {
  readonly state?: TaskState | Phase;
  readonly limit: number;
  readonly json?: boolean;
}

export function registerLs(program: Command): void {
  const command = program
    .command('ls')
    .addOption(
      new Option('--state <state>', 'only those; also a phase of tasks at work').choices([...TASK_STATES, ...PHASES]),
    )
    .option('--limit <count>', 'at most so many', wholeNumber, 20)
    .option('--json', 'for programs')
    .action((options: ListOptions) =>
      runCommand(options, () =>
        withLonghaul(async ({ longhaul }) => {
          const { state, limit } = options;
          const tasks = await listTasks(longhaul, { limit, ...filterOf(state) });
          if (options.json) process.stdout.write(`${JSON.stringify(tasks, undefined, 2)}\n`);
          else if (tasks.length === 0)
            process.stdout.write(state ? `no ${state} tasks\n` : 'no tasks; `longhaul run` makes one\n');
          else {
            const columns = process.stdout.isTTY ? process.stdout.columns : undefined;
            process.stdout.write(`${tableText(tasks, { columns, now: Date.now(), paint: painter(process.stdout) })}\n`);
          }
        }),
      ),
    );
  withExamples(command, ['longhaul ls'], ['longhaul ls --state failed --limit 5'], ['longhaul ls --state working']);
}

function filterOf(state: TaskState | Phase | undefined): Pick<TaskFilter, 'states' | 'phases'> {
  const known = TASK_STATES.find((one) => one === state);
  const phase = PHASES.find((one) => one === state);
  return { ...(known && { states: [known] }), ...(phase && { phases: [phase] }) };
}
