/** Defines the arguments and options of `longhaul queue` and its subcommands. */
import { type Command, Option } from 'commander';
import { ON_FAILURE } from '../../contract/vocabulary.ts';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';
import { numberFromOne } from './submission-options.ts';

const PLACE = 'a session, or a task of it; id, or the beginning of one';
const TASK = 'a waiting task; id, or the beginning of one';

export function registerQueue(program: Command): void {
  const queue = program
    .command('queue')
    .argument('<session>', PLACE)
    .addOption(
      new Option('--on-failure <what>', 'hold: a task that fails or is cancelled holds the queue').choices(ON_FAILURE),
    )
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../queue.ts')).queueAction));
  withExamples(
    queue,
    ['longhaul queue 5e6f7a8b', 'its waiting tasks, in the order in which they start'],
    ["longhaul queue add 5e6f7a8b 'And now the docs'"],
    ['longhaul queue move 1a2b3c4d 1', 'it is the next one'],
    ['longhaul queue 5e6f7a8b --on-failure hold', 'a task that fails holds the queue'],
  );
  registerChanges(queue);
  for (const [name, description] of [
    ['hold', 'start no further task; the running one continues'],
    ['release', 'start the waiting tasks again'],
  ] as const) {
    const command = queue
      .command(name)
      .description(description)
      .argument('<session>', PLACE)
      .option('--json', 'for programs')
      .action(lazily(async () => (await import('../queue.ts'))[name === 'hold' ? 'holdAction' : 'releaseAction']));
    withExamples(command, [`longhaul queue ${name} 5e6f7a8b`]);
  }
}

function registerChanges(queue: Command): void {
  const add = queue
    .command('add')
    .description('add a task, as the last one; prints its id')
    .argument('<session>', PLACE)
    .argument('<input...>', 'the task for the agent; - reads it from stdin')
    .option('--json', 'print the task as JSON')
    .action(lazily(async () => (await import('../queue.ts')).addAction));
  withExamples(add, ["longhaul queue add 5e6f7a8b 'And now the docs'"]);
  const edit = queue
    .command('edit')
    .description('replace the text of a waiting task')
    .argument('<task>', TASK)
    .argument('<input...>', 'the new text; - reads it from stdin')
    .option('--json', 'print the task as JSON')
    .action(lazily(async () => (await import('../queue.ts')).editAction));
  withExamples(edit, ["longhaul queue edit 1a2b3c4d 'Only the README'"]);
  const move = queue
    .command('move')
    .description('move a waiting task to another place')
    .argument('<task>', TASK)
    .argument('<place>', '1: it is the next one; behind the last: it is the last', numberFromOne)
    .option('--json', 'print the queue as JSON')
    .action(lazily(async () => (await import('../queue.ts')).moveAction));
  withExamples(move, ['longhaul queue move 1a2b3c4d 1']);
  const remove = queue
    .command('rm')
    .description('remove a waiting task; it ends as cancelled')
    .argument('<task>', TASK)
    .option('--json', 'print the task as JSON')
    .action(lazily(async () => (await import('../queue.ts')).removeAction));
  withExamples(remove, ['longhaul queue rm 1a2b3c4d']);
}
