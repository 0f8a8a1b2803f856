/** Defines the arguments and options of `longhaul logs`. */
import { Argument, type Command } from 'commander';
import { withExamples } from '../help.ts';
import { wholeNumber } from './submission-options.ts';
import { lazily } from './lazily.ts';

export const PARTS = ['supervisor', 'worker', 'backend', 'temporal', 'postgres'] as const;
export type Part = (typeof PARTS)[number];

export function registerLogs(program: Command): void {
  const command = program
    .command('logs')
    .addArgument(new Argument('[part]', 'only the log of this part').choices(PARTS))
    .option('-f, --follow', 'also print new lines, until Ctrl-C')
    .option('-n, --lines <count>', 'number of the last lines to print first', wholeNumber, 20)
    .option('--json', 'the lines as they are logged, also on a terminal')
    .action(lazily(async () => (await import('../logs.ts')).logsAction));
  withExamples(
    command,
    ['longhaul logs', 'the last lines of each part'],
    ['longhaul logs worker -f'],
    ['longhaul logs backend -n 1000 | grep error'],
  );
}
