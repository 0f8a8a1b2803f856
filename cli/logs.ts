/** `longhaul logs`: what the parts of this home have written. Reading and following is left to `tail`, which knows rotation. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, type Command } from 'commander';
import { homePaths } from '../services/home.ts';
import { readSettings } from '../services/settings.ts';
import { LonghaulError } from '../workflows/errors.ts';
import { EXIT, runCommand } from './exit.ts';
import { withExamples } from './help.ts';
import { wholeNumber } from './submission.ts';

const PARTS = ['supervisor', 'worker', 'backend', 'temporal', 'postgres'] as const;
type Part = (typeof PARTS)[number];

interface LogOptions {
  readonly follow?: boolean;
  readonly lines: number;
}

export function registerLogs(program: Command): void {
  const command = program
    .command('logs')
    .addArgument(new Argument('[part]', 'of one part only').choices(PARTS))
    .option('-f, --follow', 'go on with what is added, until Ctrl-C')
    .option('-n, --lines <count>', 'begin with the last so many', wholeNumber, 20)
    .action((part: Part | undefined, options: LogOptions) => runCommand({}, () => showLogs(part, options)));
  withExamples(
    command,
    ['longhaul logs', 'the last lines of each part'],
    ['longhaul logs worker -f'],
    ['longhaul logs backend -n 1000 | grep error'],
  );
}

async function showLogs(part: Part | undefined, { follow = false, lines }: LogOptions): Promise<number> {
  const { home } = readSettings();
  const { logs } = homePaths(home);
  const all = (part === undefined ? PARTS : [part]).map((name) => join(logs, `${name}.log`));
  const files = all.filter((file) => existsSync(file));
  if (files.length === 0) {
    const what = part === undefined ? 'There are no logs' : `The ${part} has no log`;
    throw new LonghaulError(
      'invalid_input',
      `${what} in ${logs}: nothing was started in this home. \`longhaul up -d\` starts it; LONGHAUL_HOME names another home.`,
    );
  }
  // By name (-F): a file that is rotated, or begun anew, is opened again.
  const tail = spawn('tail', ['-n', String(lines), ...(follow ? ['-F'] : []), '--', ...files], { stdio: 'inherit' });
  const stop = (): void => void tail.kill();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const [code, signal] = (await once(tail, 'exit')) as [number | null, NodeJS.Signals | null];
  if (signal === 'SIGPIPE') return EXIT.readerGone;
  return signal === null ? (code ?? EXIT.taskFailed) : EXIT.done;
}
