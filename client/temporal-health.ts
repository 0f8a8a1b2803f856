/** Tracks whether intake can use Temporal. After a failed call it probes the server until the server responds. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { messageOf } from '../contract/errors.ts';
import { isTemporalUnavailable, readableGrpcMessage, probeTemporal } from './temporal.ts';

const PROBE_MS = 2_000;
const PROBE_EVERY_MS = 1_000;

export interface IntakeLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export class TemporalHealth {
  readonly #temporal: Client;
  readonly #log: IntakeLog;
  #trouble: string | undefined = 'Temporal was not probed yet';
  #probing = false;

  constructor(temporal: Client, log: IntakeLog) {
    this.#temporal = temporal;
    this.#log = log;
  }

  /** Why Temporal cannot be used. `undefined` if Temporal can be used, as far as the last call or probe showed. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /**
   * Logs the failure of a call; `what` describes the failed work. If Temporal is unavailable, `trouble` is set until a
   * probe succeeds, so that no further calls are made.
   */
  handleError(error: unknown, what: string): void {
    if (!isTemporalUnavailable(error)) {
      this.#log.error({ err: error }, what);
      return;
    }
    if (this.#trouble === undefined) this.#log.warn({ err: error }, `Temporal is unavailable: ${what}`);
    this.#trouble ??= `Temporal does not respond: ${readableGrpcMessage(messageOf(error))}`;
  }

  get isProbing(): boolean {
    return this.#probing;
  }

  /**
   * Probes until Temporal responds, then returns true. Returns false if `signal` is aborted first. Never rejects. The
   * caller must start no second probe while `isProbing` is true.
   */
  async probe(signal: AbortSignal): Promise<boolean> {
    this.#probing = true;
    try {
      while (!signal.aborted) {
        if (await this.#responds()) break;
        await delay(PROBE_EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      this.#probing = false;
    }
    if (signal.aborted) return false;
    this.#trouble = undefined;
    this.#log.info({}, 'Temporal is available: intake starts tasks');
    return true;
  }

  async #responds(): Promise<boolean> {
    try {
      await probeTemporal(this.#temporal, PROBE_MS);
      return true;
    } catch (error) {
      this.#trouble = messageOf(error);
      return false;
    }
  }
}
