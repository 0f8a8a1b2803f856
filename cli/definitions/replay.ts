/** The arguments and options of `longhaul replay`. */
import type { Command } from 'commander';
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
    .option('--speed <factor>', 'how many times as fast', wholeNumber, 1)
    .action(lazily(async () => (await import('../recording.ts')).replayAction));
  withExamples(
    command,
    ['longhaul replay 1a2b3c4d'],
    ['longhaul replay 1a2b3c4d > task.cast', 'the asciicast, for other players'],
  );
}
