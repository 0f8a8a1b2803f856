/** Defines the arguments and options of `longhaul ls`. */
import { type Command, Option } from 'commander';
import { PHASES, TASK_STATES } from '../../contract/task.ts';
import { CHANGE_STATES } from '../../contract/vocabulary.ts';
import { withExamples } from '../help.ts';
import { notEmpty, numberFromOne } from './submission-options.ts';
import { lazily } from './lazily.ts';

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
    .action(lazily(async () => (await import('../ls.ts')).lsAction));
  withExamples(
    command,
    ['longhaul ls'],
    ['longhaul ls --project . --change pending', 'changes of this project that wait for review'],
    ['longhaul ls --state failed --limit 5'],
    ['longhaul ls --sessions', 'to continue one: longhaul run --session 1a2b3c4d …'],
  );
}
