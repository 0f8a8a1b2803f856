/**
 * Finds whether another worker polls for runs. A worker that drains serves runs until another worker polls for them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isAlive, type ProcessIdentity } from '../processes/identity.ts';
import { processOf } from './worker-identity.ts';

const CHECK_INTERVAL_MS = 1_000;
/**
 * After this time without a poll, a poller counts as gone. A poll takes at most a minute. Temporal lists a poller for
 * five minutes after its last poll.
 */
const POLLER_EXPIRES_MS = 75_000;

export interface OtherWorkerCheck {
  readonly host: string;
  /** The identity of this worker in Temporal. */
  readonly identity: string;
  /** Returns the identities of the pollers for runs, and the time of each one's last poll. */
  readonly pollers: () => Promise<readonly { readonly identity: string; readonly at: Date }[]>;
  /** Returns the workers of this home that drain. */
  readonly draining: () => Promise<readonly ProcessIdentity[]>;
  readonly log: Logger;
}

/** Resolves when a worker that does not drain polls for runs, or when the signal is aborted. */
export async function waitForOtherWorker(of: OtherWorkerCheck, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if (await isServedElsewhere(of)) return;
    } catch (error) {
      of.log.warn({ err: error }, `could not check for other workers; retrying in ${CHECK_INTERVAL_MS / 1_000} s`);
    }
    await sleep(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function isServedElsewhere({ host, identity, pollers, draining }: OtherWorkerCheck): Promise<boolean> {
  const [polling, drains] = await Promise.all([pollers(), draining()]);
  return polling.some((poller) => {
    if (poller.identity === identity || Date.now() - poller.at.getTime() > POLLER_EXPIRES_MS) return false;
    const process = processOf(poller.identity, host);
    return !process || (isAlive(process) && !drains.some(({ pid }) => pid === process.pid));
  });
}
