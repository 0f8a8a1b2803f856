/**
 * Waits until all parts of a home are ready. It starts a supervisor if there is none, and asks a running supervisor to
 * restart failed parts at once. Several processes may do this at the same time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, isSuspended, type ProcessIdentity } from '../processes/identity.ts';
import { LonghaulError } from '../contract/errors.ts';
import { readState, type HomePaths, type HomeState, type PartRecord } from './home/home.ts';
import { lockHolder } from './home/lock.ts';
import { sendSignal } from '../processes/end.ts';
import { lastLines, type RunningProcess } from './supervisor/detached.ts';
import { oneLineDetail, isSameProcess, liveSupervisor } from './status.ts';
import { REPAIR_SIGNAL } from './supervisor/supervise-home.ts';

const POLL_MS = 50;
/**
 * How long `ensureUp` waits for the exit status of a supervisor that has exited. The status is known shortly after the
 * exit.
 */
const EXIT_MS = 2_000;
/**
 * If the state and the detail of every part stay the same for this time, `ensureUp` fails. A build of Temporal takes
 * longer, but it changes the detail of its part every 15 s.
 */
const SILENCE_MS = 120_000;
/**
 * How long `ensureUp` waits for the record of a running supervisor. A supervisor writes its record when it starts, and
 * again within a second if the file was removed.
 */
const RECORD_MS = 30_000;
/**
 * After this many failed starts of a part in a row, `ensureUp` fails, because the part will probably not start until
 * the user changes something.
 */
const FAILURES = 3;

export interface EnsureUpOptions {
  readonly paths: HomePaths;
  /** Starts a supervisor in the background. */
  readonly startSupervisor: () => Promise<RunningProcess>;
  readonly supervisorLog: string;
  readonly report: (line: string) => void;
}

/** Resolves when all parts are ready. Fails with `service_unreachable` and the last lines of the failing part's log. */
export async function ensureUp(options: EnsureUpOptions): Promise<void> {
  const { paths, report } = options;
  let own: RunningProcess | undefined;
  let repairs = await askForRepair(paths);
  const reported: Reported = new Map();
  let quietSince = Date.now();
  for (;;) {
    const state = await readState(paths);
    const supervisor = await liveSupervisor(paths, state);
    continueSuspended(state, supervisor, report);
    if (supervisor && !isSameProcess(state?.supervisor, supervisor)) {
      if (Date.now() - quietSince > RECORD_MS) throw noRecord(options, supervisor);
    } else if (supervisor && state) {
      if (allReady(state)) return;
      if (state.repairs >= repairs) failIfHopeless(state.parts, await logOf(state.parts));
      for (const line of changedLines(state.parts, reported)) {
        quietSince = Date.now();
        report(line);
      }
    } else if (!(await lockHolder(paths.lock))) {
      if (own && !isAlive(own.identity)) throw await supervisorEnded(options, own);
      // A new supervisor has received no repair request, so there is no repair to wait for.
      repairs = 0;
      own ??= await options.startSupervisor();
    }
    if (Date.now() - quietSince > SILENCE_MS) throw tooLong(state);
    await sleep(POLL_MS);
  }
}

/**
 * Requests a repair. Returns the value that `repairs` in the supervisor's record has once the supervisor has handled
 * this request.
 */
async function askForRepair(paths: HomePaths): Promise<number> {
  const state = await readState(paths);
  const supervisor = await liveSupervisor(paths, state);
  if (!supervisor || !state || !isSameProcess(state.supervisor, supervisor)) return 0;
  sendSignal(supervisor.pid, REPAIR_SIGNAL);
  return state.repairs + 1;
}

/** Continues suspended processes. The supervisor would not restart them, because a suspended process is alive. */
function continueSuspended(
  state: HomeState | undefined,
  supervisor: ProcessIdentity | undefined,
  report: (line: string) => void,
): void {
  const parts = state?.parts.map(({ name, process }) => ({ name, process })) ?? [];
  for (const { name, process } of [{ name: 'supervisor', process: supervisor }, ...parts]) {
    if (!process || !isSuspended(process)) continue;
    sendSignal(process.pid, 'SIGCONT');
    report(`${name.padEnd(10)} was suspended by a signal and continues`);
  }
}

/**
 * Whether all parts are ready and alive. The process table is checked, too, because a part may have exited after the
 * record was written.
 */
function allReady(state: HomeState): boolean {
  for (const part of state.parts) {
    if (part.state !== 'ready' || (part.process && !isAlive(part.process))) return false;
  }
  return true;
}

function failIfHopeless(parts: readonly PartRecord[], log: string): void {
  const part = hopelessOf(parts);
  if (!part) return;
  const message = part.detail ?? 'it does not start';
  if (part.hopeless) throw new LonghaulError('invalid_input', message);
  const lines = message.includes(part.logFile) ? '' : `\n${part.logFile} ends with:\n${log}`;
  throw new LonghaulError(
    'service_unreachable',
    `${part.name} failed ${part.failures} times: ${message}${lines}\nThe supervisor keeps trying; \`longhaul down\` stops it.`,
  );
}

const hopelessOf = (parts: readonly PartRecord[]): PartRecord | undefined =>
  parts.find((part) => part.hopeless || part.failures >= FAILURES);

async function logOf(parts: readonly PartRecord[]): Promise<string> {
  const part = hopelessOf(parts);
  return part ? lastLines(part.logFile) : '';
}

/** The state and detail that were last reported of each part. */
type Reported = Map<string, { readonly state: string; readonly detail: string }>;

/** Returns one line for each part whose state or detail has changed. */
function changedLines(parts: readonly PartRecord[], reported: Reported): string[] {
  return parts.flatMap(({ name, state, detail: whole }) => {
    const detail = oneLineDetail(whole ?? '');
    const last = reported.get(name);
    if (last?.state === state && last.detail === detail) return [];
    reported.set(name, { state, detail });
    // While a part is started again, its record keeps the detail of its last failure. The detail is not reported a
    // second time.
    const shown = state === 'starting' && last?.detail === detail ? '' : detail;
    return state === 'waiting' && detail === '' ? [] : [`${name.padEnd(10)}${state}${shown && `  ${shown}`}`];
  });
}

async function supervisorEnded(options: EnsureUpOptions, own: RunningProcess): Promise<LonghaulError> {
  const log = await lastLines(options.supervisorLog);
  // The timer keeps this process alive. Without the timer this process would exit here without a message.
  const how = await Promise.race([own.exited, sleep(EXIT_MS, 'exit status unknown')]);
  return new LonghaulError('service_unreachable', `The supervisor ended (${how}). ${options.supervisorLog} ends with:\n${log}`); // prettier-ignore
}

function noRecord({ paths, supervisorLog }: EnsureUpOptions, { pid }: ProcessIdentity): LonghaulError {
  return new LonghaulError(
    'service_unreachable',
    `Supervisor ${pid} runs but has not written ${paths.stateFile} for ${RECORD_MS / 1000} s. ${supervisorLog} has the reason; \`longhaul down\` stops it.`,
  );
}

function tooLong(state: HomeState | undefined): LonghaulError {
  const missing = state?.parts.filter((part) => part.state !== 'ready').map((part) => `${part.name} is ${part.state}`);
  return new LonghaulError(
    'service_unreachable',
    `No part has changed for ${SILENCE_MS / 1000} s: ${missing?.join(', ') ?? 'no supervisor has started'}. See \`longhaul status\` and the logs.`,
  );
}
