/** Helpers for promises: promises that other code resolves or rejects, and waits that end when a signal is aborted. */

export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Returns what `Promise.withResolvers` returns. Node 20 does not have that function. */
export function deferred<T = void>(): Deferred<T> {
  let resolve: Deferred<T>['resolve'] = () => {};
  let reject: Deferred<T>['reject'] = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/**
 * Resolves with the work's result, or with `undefined` as soon as the signal is aborted. The abort does not end the
 * work.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  if (!signal) return work;
  const aborted = deferred<undefined>();
  return race(work, { signal, promise: aborted.promise, onAbort: () => aborted.resolve(undefined) });
}

/**
 * Resolves with the work's result, or rejects with the signal's reason as soon as the signal is aborted. The abort does
 * not end the work.
 */
export async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = deferred<never>();
  return race(work, { signal, promise: aborted.promise, onAbort: () => aborted.reject(signal.reason) });
}

interface Abort<T> {
  readonly signal: AbortSignal;
  readonly promise: Promise<T>;
  readonly onAbort: () => void;
}

/**
 * Waits for the work or the abort. It removes its listener from the signal, because many waits may use the same signal.
 */
async function race<T, A>(work: Promise<T>, { signal, promise, onAbort }: Abort<A>): Promise<T | A> {
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
