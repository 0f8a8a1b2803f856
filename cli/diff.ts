/**
 * `longhaul diff`: the change that a task left, or all tasks of its session together. On a terminal it is a text to read;
 * anywhere else it is the stored patch, byte for byte.
 */
import type { Command } from 'commander';
import type { Longhaul } from '../client/connection.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { describe, getDiff, getPatch } from '../client/tasks.ts';
import { sessionDiff } from '../maintenance/session-diff.ts';
import { isFinal, type TaskId } from '../workflows/contract.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { withLonghaul } from './longhaul.ts';
import { APPLY, type PatchSource, printPatch } from './patch-output.ts';
import { type Paint, painter, type Style, visible } from './terminal.ts';

interface DiffOptions {
  readonly json?: boolean;
  readonly session?: boolean;
}

/** A change, as it is asked for. */
interface Found extends Omit<PatchSource, 'patch'> {
  /** Of `--json`. */
  readonly facts: object;
  /** Read only where it is printed: it may have 100 MB. */
  patch(): Promise<Buffer | null>;
}

export function registerDiff(program: Command): void {
  const command = program
    .command('diff')
    .argument('<task>', 'id, or the beginning of one')
    .option('--session', 'what all tasks of its session changed together')
    .option('--json', 'for programs')
    .action((text: string, options: DiffOptions) =>
      runCommand(options, () =>
        withLonghaul(async ({ longhaul }) => {
          const taskId = await resolveTaskId(longhaul.sql, text);
          const found = await (options.session ? ofSession(longhaul, taskId) : ofTask(longhaul, taskId));
          if (options.json) {
            process.stdout.write(`${JSON.stringify(found?.facts ?? null)}\n`);
            return;
          }
          if (!found) return sayNone(longhaul, taskId);
          if (!process.stdout.isTTY) return printPatch({ ...found, patch: await found.patch() });
          process.stdout.write(
            readText(found, `longhaul diff ${options.session ? '--session ' : ''}${taskId.slice(0, 8)}`),
          );
        }),
      ),
    );
  withExamples(
    command,
    ['longhaul diff 1a2b3c4d'],
    [`longhaul diff 1a2b3c4d | ${APPLY}`, 'into your checkout'],
    ['longhaul diff --session 1a2b3c4d', 'with the tasks before it in the session'],
  );
}

async function ofTask(longhaul: Longhaul, taskId: TaskId): Promise<Found | undefined> {
  const diff = await getDiff(longhaul, taskId);
  return diff && { ...diff, commits: diff.result_commit, facts: diff, patch: () => getPatch(longhaul, diff) };
}

async function ofSession(longhaul: Longhaul, taskId: TaskId): Promise<Found | undefined> {
  const found = await sessionDiff(longhaul, taskId);
  if (!found) return undefined;
  const { patch, ...facts } = found;
  if (facts.earlier_changes > 0) {
    const count = `${facts.earlier_changes} earlier ${facts.earlier_changes === 1 ? 'change' : 'changes'}`;
    process.stderr.write(`longhaul: the session began anew after ${count}, not in this sum.\n`);
  }
  return { ...facts, commits: `${facts.base_commit}..${facts.result_commit}`, facts, patch: async () => patch };
}

async function sayNone(longhaul: Longhaul, taskId: TaskId): Promise<void> {
  const { state } = await describe(longhaul, taskId);
  const soFar = isFinal(state) ? 'left no change' : `is ${state} and has left no change yet`;
  process.stderr.write(`task ${taskId.slice(0, 8)} ${soFar}\n`);
}

function readText({ diff, diff_truncated }: Found, command: string): string {
  const paint = painter(process.stdout);
  const last = [`\ninto your checkout: ${command} | ${APPLY}\n`];
  if (diff_truncated) last.unshift(`\nThis is the beginning of a long change. All of it: ${command} > change.patch\n`);
  return coloured(diff, paint) + last.map((line) => paint('dim', line)).join('');
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
