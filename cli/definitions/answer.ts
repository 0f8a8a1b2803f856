/** Defines the arguments and options of `longhaul answer`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

const collected = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

export function registerAnswer(program: Command): void {
  const command = program
    .command('answer')
    .argument('<permission>', 'id, or the beginning of one: `longhaul prompts` lists them')
    .argument(
      '<answer>',
      'allow, deny, always, the number of an offered option, or its id; for a form accept, decline or cancel',
    )
    .option('--message <text>', 'stored with the answer')
    .option('--set <field=value>', 'the value of a field of a form; more than once', collected)
    .option('--content <json>', 'the values of a form, as a JSON object')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../answer.ts')).answerAction));
  withExamples(
    command,
    ['longhaul answer 1a2b3c4d allow'],
    ['longhaul answer 1a2b3c4d 2', 'the second of the offered options'],
    ['longhaul answer 1a2b3c4d accept --set name=Ada --set size=2', 'sends a form'],
  );
}
