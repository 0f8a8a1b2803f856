/** Defines the arguments and options of `longhaul rules` and its subcommands. */
import { type Command, Option } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';
import { notEmpty } from './submission-options.ts';

export function registerRules(program: Command): void {
  const rules = placed(program.command('rules'))
    .option('--json', 'for programs')
    .allowExcessArguments()
    .action(lazily(async () => (await import('../rules.ts')).rulesAction));
  withExamples(
    rules,
    ['longhaul rules --project .', 'all that apply to the tasks of this project'],
    ["longhaul rules add allow --command 'npm test'", 'for this project'],
    ["longhaul rules add deny --path 'secrets/**' --session 5e6f7a8b"],
    ['longhaul rules remove 1a2b3c4d'],
  );
  registerAdd(rules);
  registerRemove(rules);
}

const placed = (command: Command): Command =>
  command
    .option('--task <task>', 'rules of this task: its id, or the beginning of it', notEmpty)
    .option('--session <session>', 'rules of this session: its id, or the beginning of it', notEmpty)
    .option('--project <path>', 'rules of the project that this folder belongs to', notEmpty);

function registerAdd(rules: Command): void {
  const add = placed(rules.command('add'))
    .description('add a rule, for the project of the current folder if nothing else is named')
    .argument('<effect>', 'allow, deny, or ask: a person answers')
    .addOption(new Option('--kind <kind>', 'a kind of tool call, e.g. read, edit, execute').argParser(notEmpty))
    .option('--path <glob>', 'relative to the worktree: * within a name, ** for any folders', notEmpty)
    .option('--command <pattern>', 'shell words: * is any text, a last * any further words', notEmpty)
    .option('--first', 'compare it before the other rules of the same task, session or project')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../rules.ts')).rulesAddAction));
  withExamples(add, ["longhaul rules add allow --command 'npm run *'"], ['longhaul rules add ask --kind edit']);
}

function registerRemove(rules: Command): void {
  const remove = rules
    .command('remove')
    .description('remove a rule')
    .argument('<rule>', 'id, or the beginning of one')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../rules.ts')).rulesRemoveAction));
  withExamples(remove, ['longhaul rules remove 1a2b3c4d']);
}
