/**
 * `longhaul demo`: runs one task from beginning to end. It changes nothing that belongs to the user and removes
 * everything that it created.
 */
import { constants } from 'node:os';
import { join } from 'node:path';
import { openLonghaul } from '../client/connection.ts';
import { submit } from '../client/submit.ts';
import { describe, getDiff } from '../client/tasks.ts';
import { lastLines } from '../services/supervisor/detached.ts';
import { taskWorkflowId } from '../contract/names.ts';
import { LonghaulError } from '../contract/errors.ts';
import { findServices } from './connect.ts';
import { type DemoHome, makeDemoHome } from './demo-home.ts';
import { coloured } from './diff.ts';
import { EXIT, runCommand } from './exit.ts';
import { endLine } from './end-text.ts';
import { showTimeline } from './follow.ts';
import type { CommandContext } from './longhaul.ts';
import { painter } from './terminal.ts';

/**
 * Timeout of the demo's task: several times its duration on a slow machine. The demo reports a task that takes longer
 * as a failure.
 */
const TASK_MS = 120_000;

const INPUT = `\
Think about how to say goodbye. Slowly over 3 seconds. Plan.
Write goodbye.js with "export const goodbye = () => 'Goodbye!';".
Ask before hello.js.
Write hello.js with "import { goodbye } from './goodbye.js';\\n\\nconsole.log('Hello!');\\nconsole.log(goodbye());".
Append "It says goodbye, too." to README.md.
Run node hello.js.
Say "That is all: three files changed, one of them new, and your checkout is as it was."`;

export const demoAction = (options: { keep?: boolean }) => runCommand({}, () => demo(options.keep === true));

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function demo(keep: boolean): Promise<number> {
  const started = Date.now();
  const interruption = watchForInterruption();
  const home = await makeDemoHome(say);
  let kept = false;
  try {
    await showDemo(home, { keep, signal: interruption.signal });
    kept = keep;
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
  } finally {
    if (!kept) {
      say('\nStopping everything and removing the home …');
      await home.remove();
    }
    interruption.dispose();
  }
  if (!kept) say(`${interruption.signal.aborted ? 'Interrupted' : 'Done'} after ${secondsSince(started)}. Everything of the demo is removed.`); // prettier-ignore
  return interruption.exitCode();
}

interface DemoOptions {
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

const secondsSince = (then: number): string => `${((Date.now() - then) / 1000).toFixed(1)} s`;

async function showDemo(home: DemoHome, options: DemoOptions): Promise<void> {
  const { keep, signal } = options;
  const started = Date.now();
  say(`A temporary home: ${home.path}\n`);
  await home.start(signal);
  const services = await findServices(home.settings);
  say(`\nReady after ${secondsSince(started)}. Temporal's Web UI: ${services.temporalUiUrl ?? 'none'}`);
  const longhaul = openLonghaul({
    databaseUrl: services.databaseUrl,
    temporal: services.temporal,
    applicationName: 'longhaul demo',
    connections: 3,
    ...(services.temporalUiUrl === undefined ? {} : { temporalUiUrl: services.temporalUiUrl }),
  });
  try {
    await showTask({ longhaul, services }, home, options);
  } finally {
    await longhaul.close();
  }
  if (keep) say(keptText(home));
}

async function showTask(context: CommandContext, home: DemoHome, { keep, signal }: DemoOptions): Promise<void> {
  const { longhaul } = context;
  const paint = painter(process.stdout);
  say(`A sample project: ${home.project}\nThe task, for the demo agent:\n\n${indented(INPUT)}\n`);
  const submission = { input: INPUT, agent: 'demo', projectPath: home.project, permissionPolicy: 'allow' };
  const { taskId } = await submit({ sql: longhaul.sql }, submission);
  const late = AbortSignal.timeout(TASK_MS);
  await showTimeline(context, taskId, { showsInput: false, signal: AbortSignal.any([signal, late]) });
  signal.throwIfAborted();
  const task = await describe(longhaul, taskId);
  say(`\n${endLine(task, paint)}`);
  const diff = await getDiff(longhaul, taskId);
  if (task.state !== 'completed' || !diff) {
    const why = late.aborted
      ? `it did not end within ${TASK_MS / 1000} s`
      : (task.output_summary ?? 'it left no change');
    throw new LonghaulError('internal_error', `The demo's task is ${task.state}: ${why}\n${await logTails(home)}`);
  }
  say(`\nThe change that waits for review:\n\n${process.stdout.isTTY ? coloured(diff.diff, paint) : diff.diff}`);
  say(whereText(taskWorkflowId(taskId), task.workflow_url, keep));
}

function whereText(workflowId: string, url: string | null, keep: boolean): string {
  const place = `Web UI shows it step by step, as workflow ${workflowId}`;
  if (keep) return `Temporal's ${place}:\n  ${url ?? 'no Web UI'}`;
  return `Temporal's ${place}.\nThe demo ends with its Web UI; \`longhaul demo --keep\` keeps it running.`;
}

/**
 * Returns commands for a kept demo. The commands name the program `longhaul` by its path, because the program may not
 * be on PATH.
 */
function keptText({ path, project }: DemoHome): string {
  const program = `LONGHAUL_HOME=${path} node ${process.argv[1] ?? 'longhaul'}`;
  return [
    '\nEverything continues to run.',
    `  ${program} status`,
    `  ${program} run --agent demo --project ${project} 'write a.txt with hi'`,
    'To stop and remove everything:',
    `  ${program} down && rm -rf ${path}`,
  ].join('\n');
}

async function logTails({ path }: DemoHome): Promise<string> {
  const tails = ['worker', 'backend'].map(async (name) => {
    const file = join(path, 'logs', `${name}.log`);
    return `${name}.log ends with:\n${await lastLines(file)}`;
  });
  return (await Promise.all(tails)).join('\n');
}

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');

interface Interruption {
  readonly signal: AbortSignal;
  /**
   * Returns 128 plus the number of the first signal, as shells do. Returns 0 if there was no signal, also if the reader
   * of the output closed the pipe.
   */
  exitCode(): number;
  dispose(): void;
}

/**
 * The first signal, or a closed output, ends the demo. Later signals are ignored, because a second signal must not
 * interrupt the removal of the demo's home.
 */
function watchForInterruption(): Interruption {
  const interruption = new AbortController();
  let exitCode: number = EXIT.done;
  const listeners = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) => {
    const listener = (): void => {
      if (!interruption.signal.aborted) exitCode = 128 + constants.signals[name];
      interruption.abort();
    };
    return [name, listener] as const;
  });
  for (const [name, listener] of listeners) process.on(name, listener);
  process.stdout.on('error', () => interruption.abort());
  return {
    signal: interruption.signal,
    exitCode: () => exitCode,
    dispose: () => {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}
