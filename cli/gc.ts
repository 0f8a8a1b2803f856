/** `longhaul gc`: removes worktrees, refs and files that remain of tasks and processes whose records were lost. */
import { checkHealth } from '../client/health.ts';
import { type Longhaul, openLonghaul } from '../client/connection.ts';
import {
  plannedRemoval,
  type HandledLeftover,
  findLeftovers,
  removeLeftovers,
  withGcLock,
} from '../maintenance/gc/gc.ts';
import type { GcOptions } from '../maintenance/gc/leftover.ts';
import { refuseMovedHome } from '../maintenance/moved-home.ts';
import type { Settings } from '../services/settings.ts';
import { LonghaulError } from '../contract/errors.ts';
import { REF_DAYS } from './definitions/gc.ts';
import { findServices } from './connect.ts';
import { EXIT, runCommand } from './exit.ts';
import { harmless, type Paint, painter } from './terminal.ts';
import { shellSettings } from './settings.ts';

interface GcCommand {
  readonly dryRun?: boolean;
  readonly kept?: boolean;
  readonly refs?: true | number;
  readonly json?: boolean;
}

export const gcAction = (options: GcCommand) => runCommand(options, () => collect(options));

async function collect(options: GcCommand): Promise<number> {
  const settings = shellSettings();
  await refuseMovedHome(settings.home);
  const longhaul = await connectIfThere(settings);
  try {
    const work = () => findAndRemove(settings, longhaul, options);
    return await (options.dryRun ? work() : withGcLock(settings.home, work));
  } finally {
    await longhaul?.close();
  }
}

/** Connects to the services. Returns undefined if the services are unavailable; then `gc` checks only files. */
async function connectIfThere(settings: Settings): Promise<Longhaul | undefined> {
  const services = await findServices(settings).catch((error: unknown) => {
    if (error instanceof LonghaulError && error.code === 'service_unreachable') return undefined;
    throw error;
  });
  if (!services) return undefined;
  const { databaseUrl, temporal } = services;
  const longhaul = openLonghaul({ databaseUrl, temporal, applicationName: 'longhaul gc', connections: 3 });
  const { postgres, migrations, temporal: server } = await checkHealth(longhaul);
  if (postgres.ok && migrations.ok && server.ok) return longhaul;
  await longhaul.close();
  return undefined;
}

async function findAndRemove(settings: Settings, longhaul: Longhaul | undefined, options: GcCommand): Promise<number> {
  const { sql, temporal } = longhaul ?? {};
  const knowledge = sql && temporal ? { sql, temporal, host: settings.hostName } : undefined;
  const scope: GcOptions = {
    removeKept: options.kept === true,
    ...(options.refs === undefined ? {} : { refsOlderThanDays: options.refs === true ? REF_DAYS : options.refs }),
  };
  const { leftovers, skipped } = await findLeftovers(settings, knowledge, scope);
  const paint = painter(process.stdout);
  const done: HandledLeftover[] = [];
  for await (const item of options.dryRun ? leftovers.map(plannedRemoval) : removeLeftovers(leftovers)) {
    done.push(item);
    if (!options.json) process.stdout.write(`${itemText(item, paint)}\n`);
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ leftovers: done, skipped }, undefined, 2)}\n`);
  else process.stdout.write(endText(done, skipped, paint));
  if (done.some((item) => item.outcome === 'failed')) return EXIT.taskFailed;
  return skipped.length > 0 ? EXIT.unreachable : EXIT.done;
}

const OUTCOMES = {
  removed: ['removed', 'green'],
  would_remove: ['would remove', 'cyan'],
  kept: ['kept', 'dim'],
  failed: ['failed', 'red'],
} as const;

function itemText({ kind, name, reason, outcome, detail }: HandledLeftover, paint: Paint): string {
  const [word, style] = OUTCOMES[outcome];
  const line = `${paint(style, word)} ${kind} ${harmless(name)}`;
  const why = `    ${harmless(reason)}${detail === null ? '' : `; ${harmless(detail)}`}`;
  return `${line}\n${paint('dim', why.replaceAll('\n', ' '))}`;
}

function endText(done: readonly HandledLeftover[], skipped: readonly string[], paint: Paint): string {
  const count = (outcome: HandledLeftover['outcome']): number => done.filter((item) => item.outcome === outcome).length;
  const counts = (Object.keys(OUTCOMES) as HandledLeftover['outcome'][])
    .filter((outcome) => count(outcome) > 0)
    .map((outcome) => `${OUTCOMES[outcome][0]} ${count(outcome)}`);
  const lines = skipped.map((line) => paint('yellow', `! not checked: ${harmless(line)}`));
  lines.push(counts.length === 0 ? 'nothing to remove' : counts.join(', '));
  return `${done.length > 0 ? '\n' : ''}${lines.join('\n')}\n`;
}
