/** Defines the arguments and options of `longhaul status`. */
import { type Command, Option } from 'commander';
import type { Status } from '../../services/status.ts';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

/**
 * Fields that `--get` offers. `database_url`, which contains a password, is not among them, because users would pass it
 * as an argument of another command.
 */
const FIELDS = [
  'backend_url',
  'temporal_address',
  'temporal_ui_url',
  'token_file',
  'auth_header_file',
  'pgpass_file',
  'home',
] as const satisfies readonly (keyof Status)[];
export type StatusField = (typeof FIELDS)[number];

export function registerStatus(program: Command): void {
  const command = program
    .command('status')
    .option('--json', 'for programs; the only output with the password of the database')
    .addOption(new Option('--get <field>', 'one value of --json, for scripts').choices(FIELDS))
    .action(lazily(async () => (await import('../status.ts')).statusAction));
  withExamples(command, ['longhaul status'], ['longhaul status --json'], ['longhaul status --get backend_url']);
}
