/** Defines the arguments and options of `longhaul doctor`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerDoctor(program: Command): void {
  const doctor = program
    .command('doctor')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../doctor.ts')).doctorAction));
  withExamples(doctor, ['longhaul doctor'], ['longhaul doctor --json']);
}
