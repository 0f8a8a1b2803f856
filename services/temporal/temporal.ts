/**
 * The embedded Temporal server of a home: `temporal server start-dev` with a database file and tuned limits. The server
 * listens on 127.0.0.1 only. The server keeps running after the process that started it exits, and later starts attach
 * to the server.
 *
 * Must never happen: two servers on one database file. `<dir>/server.json` names the ports before the start and the
 * process after the start. If the starting process died between these two writes, the server is found by its command
 * line.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isAlive, type ProcessIdentity } from '../../processes/identity.ts';
import { SEARCH_ATTRIBUTES } from '../../contract/names.ts';
import { LonghaulError, messageOf } from '../../contract/errors.ts';
import { argumentAfter, findHomeProgram } from '../../processes/find-program.ts';
import { readRecord, writeJson } from '../home/json-file.ts';
import { processIdentitySchema } from '../../processes/process-files.ts';
import { portNumberSchema, preferredOrFreePort } from '../supervisor/ports.ts';
import { endProcess } from '../../processes/end.ts';
import { watchProcess, lastLines, type RunningProcess, spawnDetached } from '../supervisor/detached.ts';
import { checkTemporal } from './connection.ts';
import { adviceOnDamaged, databaseVerdict, renameDatabase, fileSize } from './database.ts';

const READY_MS = 60_000;
const READY_POLL_MS = 50;
const STARTS = 3;
/** The command that runs a server. */
const START = ['server', 'start-dev'];

// start-dev has one history shard, so the default limits per shard apply to the whole server: 50 ms before every
// dispatch, and 250 to 440 seven-step tasks a minute instead of 1,000 and more (two cores, server 1.29.1, SDK 1.24).
export const DYNAMIC_CONFIG: Readonly<Record<string, string>> = {
  'history.transferProcessorMaxPollRPS': '2000',
  'history.timerProcessorMaxPollRPS': '2000',
  'history.visibilityProcessorMaxPollRPS': '2000',
  // With the default of 1 s, every shorter timer or retry takes about 1 s.
  'history.timerProcessorMaxTimeShift': '"50ms"',
  // Without this setting the server ignores the priority of tasks and reports nothing.
  'matching.enableFairness': 'true',
  // One partition keeps tasks in the order of their arrival; the default of four partitions keeps that order only
  // roughly.
  'matching.numTaskqueueReadPartitions': '1',
  'matching.numTaskqueueWritePartitions': '1',
  'system.enableActivityEagerExecution': 'true',
};
// With synchronous=NORMAL a power cut may lose the last commits. That is acceptable, because steps are idempotent.
const SQLITE = ['journal_mode=WAL', 'synchronous=NORMAL'];

export interface TemporalOptions {
  /** Absolute path of the server's folder. It is created if it is missing. */
  readonly dir: string;
  readonly logFile: string;
  /** The namespace that the server must serve. Default: `default`. */
  readonly namespace?: string;
  /** Preferred ports. Default: the ports of the last start. A taken port is replaced by another one. */
  readonly port?: number;
  readonly uiPort?: number;
  /**
   * Whether a server that this call starts has its Web UI. Default: true. A server that already runs keeps its Web UI,
   * or has none, until the server is restarted.
   */
  readonly ui?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Returns the path of the `temporal` program. Called only if no server runs. */
  readonly findProgram: () => Promise<string>;
}

export interface RunningTemporal extends RunningProcess {
  readonly address: string;
  readonly port: number;
  readonly uiPort: number;
  /** The address of the Web UI; absent if the server was started without one. */
  readonly uiUrl?: string;
  readonly attached: boolean;
  /** The new path of a database that this start renamed because it contained no tables. */
  readonly formerDatabase?: string;
}

const serverFile = z.object({
  port: portNumberSchema,
  uiPort: portNumberSchema,
  headless: z.boolean().optional(),
  process: processIdentitySchema.optional(),
});
type ServerFile = z.infer<typeof serverFile>;

/** Attaches to the server of this folder or starts one. Resolves when the server serves the namespace. */
export async function startTemporal(options: TemporalOptions): Promise<RunningTemporal> {
  const found = await attachTemporal(options);
  if (found) return found;
  // A server whose record is lost listens on unknown ports, so it is replaced.
  const unknown = await findTemporalServer(options.dir);
  if (unknown) await stopTemporal(unknown);
  const program = await options.findProgram();
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  let formerDatabase: string | undefined;
  for (let tries = 1; ; tries++) {
    const logged = await fileSize(options.logFile);
    try {
      return { ...(await launch(options, program)), ...(formerDatabase !== undefined && { formerDatabase }) };
    } catch (error) {
      const verdict = await databaseVerdict(options.logFile, logged);
      if (tries >= STARTS) throw verdict === undefined ? error : withAdvice(error, options.dir);
      if (verdict === 'useless') formerDatabase = await renameDatabase(databaseFileOf(options.dir));
      else await sleep(200 * tries);
    }
  }
}

function withAdvice(error: unknown, dir: string): LonghaulError {
  const message = messageOf(error);
  return new LonghaulError('service_unreachable', `${message}\n${adviceOnDamaged(databaseFileOf(dir))}`, {
    cause: error,
  });
}

/** Attaches to the server of this folder if it runs, and waits until the server serves the namespace. */
export async function attachTemporal(options: TemporalOptions): Promise<RunningTemporal | undefined> {
  const identity = await findTemporalServer(options.dir);
  const known = identity && (await portsOf(identity, options.dir));
  if (!identity || !known) return undefined;
  const running = watchProcess(identity);
  await untilReady(running, known.port, options);
  return { ...running, ...endpointsOf(known), attached: true };
}

/** Returns the process that serves the database of this folder. */
export async function findTemporalServer(dir: string): Promise<ProcessIdentity | undefined> {
  const known = await readServerFile(dir);
  const args = [...START, '--db-filename'];
  return findHomeProgram({ args, named: databaseFileOf(dir), folder: dir }, known?.process);
}

/** Returns the addresses of this folder's server if it runs. */
export async function locateTemporalServer(
  dir: string,
): Promise<{ identity: ProcessIdentity; address: string; uiUrl?: string } | undefined> {
  const identity = await findTemporalServer(dir);
  const known = identity && (await portsOf(identity, dir));
  return identity && known && { identity, ...endpointsOf(known) };
}

/**
 * Returns the server's ports from its record or, if that is missing or describes another server, from the process's
 * arguments.
 */
async function portsOf(identity: ProcessIdentity, dir: string): Promise<ServerFile | undefined> {
  const known = await readServerFile(dir);
  if (known?.process?.pid === identity.pid) return known;
  const flags = ['--port', '--ui-port', HEADLESS];
  const [port, uiPort, next] = await Promise.all(flags.map((flag) => argumentAfter(identity.pid, flag)));
  // The flag is never the last argument, so if it is present, another argument follows.
  const headless = next !== undefined;
  const parsed = serverFile.safeParse({ port: Number(port), uiPort: Number(uiPort), ...(headless && { headless }) });
  return parsed.success ? parsed.data : undefined;
}

/** Ends the server with SIGTERM, and after 10 s with SIGKILL. Resolves when the server has exited. */
export async function stopTemporal(identity: ProcessIdentity): Promise<void> {
  await endProcess(identity, [
    { signal: 'SIGTERM', withinMs: 10_000 },
    { signal: 'SIGKILL', withinMs: 5_000 },
  ]);
}

const databaseFileOf = (dir: string): string => join(dir, 'temporal.db');
const HEADLESS = '--headless';
const serverFileOf = (dir: string): string => join(dir, 'server.json');

async function readServerFile(dir: string): Promise<ServerFile | undefined> {
  return readRecord(serverFileOf(dir), serverFile);
}

function endpointsOf({ port, uiPort, headless }: ServerFile) {
  return { port, uiPort, address: `127.0.0.1:${port}`, ...(!headless && { uiUrl: `http://127.0.0.1:${uiPort}` }) };
}

async function launch(options: TemporalOptions, program: string): Promise<RunningTemporal> {
  // Clients reconnect to the address that they know, so a restarted server takes its old ports if it can.
  const before = await readServerFile(options.dir);
  const port = await preferredOrFreePort(options.port ?? before?.port);
  const uiPort = await preferredOrFreePort(options.uiPort ?? before?.uiPort);
  const place: ServerFile = { port, uiPort, ...(options.ui === false && { headless: true }) };
  await writeJson(serverFileOf(options.dir), place satisfies ServerFile);
  const started = await spawnDetached({
    command: program,
    args: argumentsOf(options, port, uiPort),
    // Our TEMPORAL_* variables are left out, because the command would read them as options.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], LC_ALL: 'C', ...options.env },
    cwd: options.dir,
    umask: 0o077,
    logFile: options.logFile,
  });
  try {
    await writeJson(serverFileOf(options.dir), { ...place, process: started.identity } satisfies ServerFile);
    await untilReady(started, port, options);
  } catch (error) {
    await stopTemporal(started.identity);
    throw error;
  }
  return { ...started, ...endpointsOf(place), attached: false };
}

function argumentsOf(options: TemporalOptions, port: number, uiPort: number): string[] {
  const args = [...START, '--db-filename', databaseFileOf(options.dir), '--ip', '127.0.0.1'];
  args.push('--port', String(port), '--ui-port', String(uiPort), '--log-level', 'warn', '--log-format', 'json');
  if (options.ui === false) args.push(HEADLESS);
  if (options.namespace !== undefined) args.push('--namespace', options.namespace);
  for (const name of Object.values(SEARCH_ATTRIBUTES)) args.push('--search-attribute', `${name}=Keyword`);
  for (const pragma of SQLITE) args.push('--sqlite-pragma', pragma);
  for (const [key, value] of Object.entries(DYNAMIC_CONFIG)) args.push('--dynamic-config-value', `${key}=${value}`);
  return args;
}

async function untilReady(
  { identity, exited }: Pick<RunningTemporal, 'identity' | 'exited'>,
  port: number,
  options: TemporalOptions,
): Promise<void> {
  const deadline = Date.now() + READY_MS;
  const target = {
    namespace: options.namespace ?? 'default',
    connection: { address: `127.0.0.1:${port}`, tls: false },
  };
  // If the server has exited, `checkTemporal` would still wait for its own timeout. So the check is raced against the
  // exit.
  const gone = exited.then(() => new Error('it ended'));
  for (;;) {
    const checked = checkTemporal(target).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
    const problem = await Promise.race([checked, gone]);
    if (problem === undefined) return;
    if (!isAlive(identity)) {
      throw new LonghaulError('service_unreachable', `Temporal ended while starting. ${options.logFile} ends with:\n${await lastLines(options.logFile)}`); // prettier-ignore
    }
    if (Date.now() > deadline) {
      throw new LonghaulError('service_unreachable', `Temporal runs (pid ${identity.pid}) but does not serve the namespace: ${problem.message}. See ${options.logFile}.`, { cause: problem }); // prettier-ignore
    }
    await sleep(READY_POLL_MS);
  }
}
