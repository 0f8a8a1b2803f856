/** `longhaul logs`: shows the logs of this home's parts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { homePaths } from '../services/home/home.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type Part, PARTS } from './definitions/logs.ts';
import { EXIT, runCommand } from './exit.ts';
import { followLogs } from './follow-logs.ts';
import { ReadableLog } from './log-text.ts';
import { painter } from './terminal.ts';
import { shellSettings } from './settings.ts';

interface LogOptions {
  readonly follow?: boolean;
  readonly lines: number;
  /** Whether lines are printed as they are logged, also on a terminal. */
  readonly json?: boolean;
}

export const logsAction = (part: Part | undefined, options: LogOptions) =>
  runCommand({}, () => showLogs(part, options));

async function showLogs(part: Part | undefined, { follow = false, lines, json }: LogOptions): Promise<number> {
  const { home } = shellSettings();
  const { logs } = homePaths(home);
  const all = (part === undefined ? PARTS : [part]).map((name) => join(logs, `${name}.log`));
  const files = all.filter((file) => existsSync(file));
  if (files.length === 0) {
    const what = part === undefined ? 'There are no logs' : `The ${part} has no log`;
    throw new LonghaulError(
      'invalid_input',
      `${what} in ${logs}: no part was started in this home. Run \`longhaul up -d\`, or set LONGHAUL_HOME to another home.`,
    );
  }
  // Lines that go to a pipe or a file are not changed, because programs read them.
  const readable = process.stdout.isTTY && !json ? new ReadableLog(painter(process.stdout)) : undefined;
  return follow ? followUntilStopped(files, lines, readable) : showLast(files, lines, readable);
}

async function followUntilStopped(files: readonly string[], lines: number, readable?: ReadableLog): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  await followLogs(files, {
    lines,
    signal: stop.signal,
    print: (text) => process.stdout.write(readable?.add(text) ?? text),
  });
  return EXIT.done;
}

async function showLast(files: readonly string[], lines: number, readable?: ReadableLog): Promise<number> {
  const tail = spawn('tail', ['-n', String(lines), '--', ...files], {
    stdio: ['inherit', readable ? 'pipe' : 'inherit', 'inherit'],
  });
  tail.stdout?.setEncoding('utf8').on('data', (text: string) => process.stdout.write(readable?.add(text) ?? text));
  const stop = (): void => void tail.kill();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const [code, signal] = (await once(tail, 'close')) as [number | null, NodeJS.Signals | null];
  if (readable) process.stdout.write(readable.end());
  if (signal === 'SIGPIPE') return EXIT.readerGone;
  return signal === null ? (code ?? EXIT.taskFailed) : EXIT.done;
}
