/** Defines the arguments and options of `longhaul replay`. */
import { type Command, InvalidArgumentError } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';
import { wholeNumber } from './submission-options.ts';

export function registerReplay(program: Command): void {
  const command = program
    .command('replay')
    .argument('<task>', 'id, or the beginning of one')
    .option(
      '-n, --number <n>',
      'which of its recordings, in the order of attempts; the default is the last',
      wholeNumber,
    )
    .option('--speed <factor>', 'how many times as fast, such as 4 or 0.5', factor, 1)
    .option('--json', 'for programs: the asciicast as one object')
    .action(lazily(async () => (await import('../recording.ts')).replayAction));
  withExamples(
    command,
    ['longhaul replay 1a2b3c4d'],
    ['longhaul replay 1a2b3c4d > task.cast', 'the asciicast, for other players'],
  );
}

function factor(text: string): number {
  const value = /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw new InvalidArgumentError(`expected a number above 0, such as 4 or 0.5, found ${JSON.stringify(text)}.`);
}
