/**
 * Runs the supervisor process, one for each home. A signal makes the supervisor stop its parts, kill them, or start
 * failed parts at once. The supervisor also stops when its home is removed, because its parts would continue in a
 * removed folder, where no command finds them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessIdentity } from '../../processes/identity.ts';
import { readState, type HomePaths } from '../home/home.ts';
import { type HeldLock, type LockResult, takeLock } from '../home/lock.ts';
import { rotateLogsPeriodically } from './rotate-logs.ts';
import { liveSupervisor } from '../status.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';

/** The signal that makes a supervisor start at once the parts that wait for their next start. */
export const REPAIR_SIGNAL = 'SIGUSR2';

export interface SuperviseHome extends SupervisorOptions {
  /** Called when all parts are ready for the first time. */
  readonly onReady: () => Promise<void>;
}

export type SupervisionEnd =
  | { readonly kind: 'stopped' }
  /** Another supervisor already works in this home; nothing was changed. */
  | { readonly kind: 'busy'; readonly holder: ProcessIdentity };

/** Runs until SIGINT, SIGTERM or SIGHUP. A second SIGINT kills parts that are slow to stop. */
export async function superviseHome(options: SuperviseHome): Promise<SupervisionEnd> {
  surviveLostOutput();
  const stop = new AbortController();
  const forceShutdown = new AbortController();
  const supervisor = new Supervisor(options);
  let atWork = false;
  const signals: [NodeJS.Signals, () => void][] = [
    ['SIGINT', () => (stop.signal.aborted ? forceShutdown : stop).abort()],
    ['SIGTERM', () => stop.abort()],
    ['SIGHUP', () => stop.abort()],
    [REPAIR_SIGNAL, () => atWork && supervisor.repair()],
  ];
  // The listeners are added before the lock is taken, because a process that sees the lock may send signals.
  for (const [signal, listener] of signals) process.on(signal, listener);
  try {
    const lock = await lockOrSupervisor(options.paths, stop.signal);
    if (!lock) return { kind: 'stopped' };
    if (lock.kind === 'busy') return { kind: 'busy', holder: lock.holder };
    try {
      atWork = true;
      void rotateLogsPeriodically(options.paths.logs, { signal: stop.signal, onTrouble: options.report });
      void stopWhenLost(lock, { options, supervisor, stop });
      const ran = supervisor.run(stop.signal, forceShutdown.signal);
      await supervisor.ready(stop.signal);
      if (!stop.signal.aborted) await options.onReady();
      await ran;
      return { kind: 'stopped' };
    } finally {
      stop.abort();
      await lock.release();
    }
  } finally {
    for (const [signal, listener] of signals) process.off(signal, listener);
  }
}

interface Supervision {
  readonly options: SuperviseHome;
  readonly supervisor: Supervisor;
  readonly stop: AbortController;
}

/**
 * Stops the supervisor when it has lost the lock. If another supervisor holds the lock by then, the parts belong to
 * that supervisor, so this one does not stop them.
 */
async function stopWhenLost(lock: HeldLock, { options, supervisor, stop }: Supervision): Promise<void> {
  const { paths, report } = options;
  const holder = await lock.untilLost(stop.signal);
  if (stop.signal.aborted) return;
  if (holder) supervisor.abandon();
  const whose = holder ? `supervisor ${holder.pid} takes over its parts` : 'all its parts are stopped';
  report(`${paths.home} or its run/ was removed while its parts ran: ${whose}`);
  stop.abort();
}

/**
 * Takes the lock, or returns that a supervisor has it. If a `down` holds the lock, this function waits until that
 * `down` has finished.
 */
async function lockOrSupervisor(paths: HomePaths, stop: AbortSignal): Promise<LockResult | undefined> {
  while (!stop.aborted) {
    const lock = await takeLock(paths.lock, 'supervisor');
    if (lock.kind === 'held' || (await liveSupervisor(paths, await readState(paths)))) return lock;
    await sleep(100);
  }
  return undefined;
}

/**
 * Ignores errors of stdout and stderr. On a full disk or a closed terminal reports are lost, and the supervisor
 * continues until it has stopped its parts.
 */
function surviveLostOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    // The call also removes the listeners of the command line, which end a command when the reader of its output has
    // exited.
    stream.removeAllListeners('error');
    stream.on('error', () => {});
  }
}
