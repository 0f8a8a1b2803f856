/** Whether runs go on without this worker: a drain leaves them to another one, and serves them as long as there is none. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isAlive, type ProcessIdentity } from '../processes/identity.ts';
import { processOf } from './worker-identity.ts';

const CHECK_INTERVAL_MS = 1_000;
/** A poll is answered or given up after a minute; Temporal names a poller for five. */
const POLLER_EXPIRES_MS = 75_000;

export interface RunsElsewhere {
  readonly host: string;
  /** As Temporal knows this worker. */
  readonly identity: string;
  /** Who polls for runs, as Temporal knows them, and when each last did. */
  readonly pollers: () => Promise<readonly { readonly identity: string; readonly at: Date }[]>;
  /** Workers of this home that drain themselves. */
  readonly draining: () => Promise<readonly ProcessIdentity[]>;
  readonly log: Logger;
}

/** Resolves once another worker polls for runs that does not drain itself, or at the signal. */
export async function untilServedElsewhere(of: RunsElsewhere, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if (await isServedElsewhere(of)) return;
    } catch (error) {
      of.log.warn({ err: error }, 'other workers were not looked for; this is tried again');
    }
    await sleep(CHECK_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function isServedElsewhere({ host, identity, pollers, draining }: RunsElsewhere): Promise<boolean> {
  const [polling, drains] = await Promise.all([pollers(), draining()]);
  return polling.some((poller) => {
    if (poller.identity === identity || Date.now() - poller.at.getTime() > POLLER_EXPIRES_MS) return false;
    const process = processOf(poller.identity, host);
    return !process || (isAlive(process) && !drains.some(({ pid }) => pid === process.pid));
  });
}
