/** `longhaul diff`: the change that a task left. */
import type { Command } from 'commander';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe, getDiff } from '../client/tasks.ts';
import { isFinal } from '../workflows/contract.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { withLonghaul } from './longhaul.ts';
import { type Paint, painter, type Style, visible } from './terminal.ts';

export function registerDiff(program: Command): void {
  const command = program
    .command('diff')
    .argument('<task>', 'id, or the beginning of one')
    .option('--json', 'for programs')
    .action((text: string, options: { json?: boolean }) =>
      runCommand(options, () =>
        withLonghaul(async ({ longhaul }) => {
          const taskId = await resolveTaskId(longhaul.sql, text);
          const diff = await getDiff(longhaul, taskId);
          if (options.json) {
            process.stdout.write(`${JSON.stringify(diff ?? null)}\n`);
          } else if (diff) {
            process.stdout.write(process.stdout.isTTY ? coloured(diff.diff, painter(process.stdout)) : diff.diff);
          } else {
            const { state } = await describe(longhaul, taskId);
            const soFar = isFinal(state) ? 'left no change' : `is ${state} and has left no change yet`;
            process.stderr.write(`task ${taskId.slice(0, 8)} ${soFar}\n`);
          }
        }),
      ),
    );
  withExamples(command, ['longhaul diff 1a2b3c4d'], ['longhaul diff 1a2b3c4d | git apply', 'into your checkout']);
}

const STYLES: readonly (readonly [string, Style])[] = [
  ['diff ', 'bold'],
  ['+++', 'bold'],
  ['---', 'bold'],
  ['+', 'green'],
  ['-', 'red'],
  ['@@', 'cyan'],
];

export function coloured(diff: string, paint: Paint): string {
  const lines = visible(diff).split('\n');
  return lines
    .map((line) => {
      const style = STYLES.find(([start]) => line.startsWith(start))?.[1];
      return style ? paint(style, line) : line;
    })
    .join('\n');
}
