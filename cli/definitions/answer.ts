/** Defines the arguments and options of `longhaul answer`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerAnswer(program: Command): void {
  const command = program
    .command('answer')
    .argument('<permission>', 'id, or the beginning of one: `longhaul prompts` lists them')
    .argument('<answer>', 'allow, deny, always, the number of an offered option, or its id')
    .option('--message <text>', 'stored with the answer')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../answer.ts')).answerAction));
  withExamples(
    command,
    ['longhaul answer 1a2b3c4d allow'],
    ['longhaul answer 1a2b3c4d 2', 'the second of the offered options'],
  );
}
