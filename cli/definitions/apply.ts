/** Defines the arguments and options of `longhaul apply`, `undo` and `reject`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

const CHANGE = 'id of a task or of its change, or the beginning of one';

export function registerApply(program: Command): void {
  const command = program
    .command('apply')
    .argument('<task>', CHANGE)
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../apply.ts')).applyAction));
  withExamples(command, ['longhaul apply 1a2b3c4d', 'then look at it: git diff']);
}

export function registerUndo(program: Command): void {
  const command = program
    .command('undo')
    .argument('<task>', CHANGE)
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../apply.ts')).undoAction));
  withExamples(command, ['longhaul undo 1a2b3c4d']);
}

export function registerReject(program: Command): void {
  const command = program
    .command('reject')
    .argument('<task>', CHANGE)
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../apply.ts')).rejectAction));
  withExamples(command, ['longhaul reject 1a2b3c4d']);
}
