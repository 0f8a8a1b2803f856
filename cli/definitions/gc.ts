/** Defines the arguments and options of `longhaul gc`. */
import { type Command, InvalidArgumentError } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

/** Default of `--refs`: the age in days from which refs are removed. */
export const REF_DAYS = 30;

export function registerGc(program: Command): void {
  const gc = program
    .command('gc')
    .option('-n, --dry-run', 'only print what would be removed')
    .option('--kept', 'also kept worktrees: they hold edits that are in no commit')
    .option(
      '--refs [days]',
      `also results of tasks that have no row any more, from this age on (default: ${REF_DAYS})`,
      days,
    )
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../gc.ts')).gcAction));
  withExamples(gc, ['longhaul gc --dry-run', 'print what it would remove'], ['longhaul gc'], ['longhaul gc --refs 90']);
}

function days(text: string): number {
  if (!/^\d{1,5}$/.test(text))
    throw new InvalidArgumentError(`expected a number of days, found ${JSON.stringify(text)}.`);
  return Number(text);
}
