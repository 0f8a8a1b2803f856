/** Defines the arguments and options of `longhaul psql`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerPsql(program: Command): void {
  const command = program
    .command('psql')
    .argument('[args...]', 'arguments of psql')
    .allowUnknownOption()
    .passThroughOptions()
    .action(lazily(async () => (await import('../psql.ts')).psqlAction));
  withExamples(
    command,
    ['longhaul psql'],
    ["longhaul psql -c 'SELECT id, state FROM tasks'"],
    ['longhaul psql < query.sql'],
  );
}
