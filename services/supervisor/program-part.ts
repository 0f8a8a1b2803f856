/**
 * A program of Longhaul (worker, backend) as a part: Node in a session of its own, which announces on a pipe that it is
 * ready. `<run>/<name>.json` records the process, so that a later supervisor can attach to it.
 *
 * Must never happen: two processes of one program in a home. A process without a record is found in the process table.
 * A process that is not known to be ready, or that was started with other settings, is replaced.
 */
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ProcessIdentity } from '../../processes/identity.ts';
import { loaderArguments } from '../../processes/own-module.ts';
import { LonghaulError, messageOf } from '../../contract/errors.ts';
import { findHomeProgram } from '../../processes/find-program.ts';
import type { ServiceAddresses, HomePaths } from '../home/home.ts';
import { readRecord, writeJson } from '../home/json-file.ts';
import { processIdentitySchema } from '../../processes/process-files.ts';
import type { Part, PartContext, StartedPart } from './part.ts';
import { endProcess } from '../../processes/end.ts';
import { watchProcess, lastLines, spawnDetached, type RunningProcess } from './detached.ts';
import { announcement, READY_FD, readAnnouncement, type Announcement } from './ready.ts';

/**
 * The version that is shown for a program that did not announce its version. Only older versions of Longhaul announce
 * none.
 */
export const UNRECORDED_VERSION = 'older';
/**
 * How long a program may take to be ready. A worker first compiles its workflows, which took 20 s on a busy machine
 * with two cores.
 */
const READY_MS = 90_000;

export interface LonghaulProgram {
  readonly name: string;
  readonly needs: readonly string[];
  /** Absolute path of the module to run. */
  readonly entry: string;
  readonly paths: HomePaths;
  /** Time from SIGTERM to SIGKILL. */
  readonly graceMs: number;
  /**
   * Returns the environment of the program. `last` is the program's last announcement, so that it can keep its port.
   */
  env(facts: ServiceAddresses, last: Announcement | undefined): Promise<NodeJS.ProcessEnv>;
  /**
   * Returns the values that the program depends on, as one text. If the text has changed, a running program is outdated
   * and is replaced.
   */
  fingerprint(facts: ServiceAddresses): string;
  /** Checks whether a program that was ready before still responds. Without `check` a live process counts as ready. */
  check?(announced: Announcement): Promise<boolean>;
  describe(announced: Announcement): { detail: string; facts: ServiceAddresses };
}

const recordFile = z.object({
  process: processIdentitySchema,
  fingerprint: z.string(),
  announced: announcement.nullable(),
});
type RecordFile = z.infer<typeof recordFile>;

export function programPart(program: LonghaulProgram): Part {
  const logFile = join(program.paths.logs, `${program.name}.log`);
  return {
    name: program.name,
    needs: program.needs,
    logFile,
    start: async (context) => (await attach(program, context)) ?? launch(program, context, logFile),
    find: async () => {
      const record = await recordOf(program);
      const running = await findRunning(program, record);
      if (!running) return undefined;
      const announced = record?.process.pid === running.pid ? record.announced : null;
      return announced
        ? { process: running, ...program.describe(announced), version: announced.version ?? UNRECORDED_VERSION }
        : { process: running, detail: null, facts: {} };
    },
    stop: async (forceShutdown) => {
      const running = await findRunning(program, await recordOf(program));
      if (running) await end(program, running, forceShutdown);
    },
  };
}

async function attach(program: LonghaulProgram, context: PartContext): Promise<StartedPart | undefined> {
  const record = await recordOf(program);
  const running = await findRunning(program, record);
  if (!running) return undefined;
  const known = record?.process.pid === running.pid && record.fingerprint === digest(program, context.facts);
  const announced = known ? record.announced : null;
  if (announced && (!program.check || (await program.check(announced)))) {
    return { ...startedPart(program, watchProcess(running), announced), attached: true };
  }
  context.report(`${program.name}: replacing process ${running.pid}, which is outdated or not ready`);
  await end(program, running);
  return undefined;
}

async function launch(program: LonghaulProgram, context: PartContext, logFile: string): Promise<StartedPart> {
  const last = (await recordOf(program))?.announced ?? undefined;
  let announcement: Promise<Announcement | undefined> = Promise.resolve(undefined);
  const started = await spawnDetached({
    command: process.execPath,
    args: [...loaderArguments(program.entry), program.entry, ...tagOf(program)],
    env: { ...(await program.env(context.facts, last)), [READY_FD]: '3' },
    cwd: program.paths.home,
    logFile,
    onFd3: (pipe) => {
      announcement = readAnnouncement(pipe);
    },
  });
  const record: RecordFile = {
    process: started.identity,
    fingerprint: digest(program, context.facts),
    announced: null,
  };
  try {
    await writeJson(recordPath(program), record);
    const announced = await untilAnnounced(announcement, started, context.signal);
    await writeJson(recordPath(program), { ...record, announced });
    return { ...startedPart(program, started, announced), attached: false };
  } catch (error) {
    await end(program, started.identity);
    const reason = messageOf(error);
    throw new LonghaulError('service_unreachable', `${program.name} ${reason}. ${logFile} ends with:\n${await lastLines(logFile)}`, { cause: error }); // prettier-ignore
  }
}

async function untilAnnounced(
  announcement: Promise<Announcement | undefined>,
  started: RunningProcess,
  signal: AbortSignal,
): Promise<Announcement> {
  const timer = new AbortController();
  const stop = AbortSignal.any([signal, timer.signal]);
  try {
    const outcome = await Promise.race([
      announcement,
      sleep(READY_MS, 'late' as const, { signal: stop }).catch(() => 'stopped' as const),
    ]);
    if (outcome === 'late') throw new Error(`was not ready within ${READY_MS / 1000} s`);
    if (outcome === 'stopped') throw new Error('was stopped while starting');
    if (outcome === undefined) throw new Error(`ended before it was ready (${await started.exited})`);
    return outcome;
  } finally {
    timer.abort();
  }
}

function startedPart(
  program: LonghaulProgram,
  running: RunningProcess,
  announced: Announcement,
): Omit<StartedPart, 'attached'> {
  return { ...running, process: running.identity, ...program.describe(announced) };
}

async function findRunning(
  program: LonghaulProgram,
  record: RecordFile | undefined,
): Promise<ProcessIdentity | undefined> {
  const { home } = program.paths;
  // The pattern matches the program of any checkout or installation. Otherwise workers of two versions could run in one
  // home.
  const precedingArgumentEnd = new RegExp(`(^|[/\\0])${basename(program.entry).replace(/\.[jt]s$/, '\\.[jt]s')}$`);
  return findHomeProgram({ args: ['--home'], precedingArgumentEnd, named: home, folder: home }, record?.process);
}

async function end(program: LonghaulProgram, identity: ProcessIdentity, forceShutdown?: AbortSignal): Promise<void> {
  const steps = [
    { signal: 'SIGTERM', withinMs: program.graceMs },
    { signal: 'SIGKILL', withinMs: 5_000 },
  ] as const;
  await endProcess(identity, steps, forceShutdown);
}

/**
 * Arguments that show in the process list to which home the program belongs, and by which the program is found again.
 */
const tagOf = (program: LonghaulProgram): string[] => ['--home', program.paths.home];
const recordPath = (program: LonghaulProgram): string => join(program.paths.run, `${program.name}.json`);

async function recordOf(program: LonghaulProgram): Promise<RecordFile | undefined> {
  return readRecord(recordPath(program), recordFile);
}

/** Returns a digest of the fingerprint. Only the digest is stored, because a fingerprint may contain passwords. */
function digest(program: LonghaulProgram, facts: ServiceAddresses): string {
  return createHash('sha256')
    .update(`${program.entry}\n${program.fingerprint(facts)}`)
    .digest('hex');
}
