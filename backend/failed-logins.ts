/** Counts failed logins by address: after a few, further ones get 429, without a line in the log and at little cost. */

const BURST = 10;
const REFILL_MS = 6_000;
/** The most addresses that are remembered. The address whose last failure is the oldest is removed first. */
const MAX_ADDRESSES = 1_000;

interface Bucket {
  left: number;
  at: number;
}

export class FailedLogins {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * Counts a failed login. Returns undefined if the response is 401. If the response is 429, returns the number of
   * seconds until a failed login from this address gets 401 again.
   */
  note(address: string): number | undefined {
    const now = this.#now();
    const known = this.#buckets.get(address) ?? { left: BURST, at: now };
    const left = Math.min(BURST, known.left + (now - known.at) / REFILL_MS);
    const counted = left >= 1;
    this.#buckets.delete(address);
    this.#buckets.set(address, { left: counted ? left - 1 : left, at: now });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MAX_ADDRESSES && oldest !== undefined) this.#buckets.delete(oldest);
    return counted ? undefined : Math.ceil(((1 - left) * REFILL_MS) / 1_000);
  }
}
