import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for `ms` milliseconds. After an abort it throws the signal's reason, not an AbortError. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
