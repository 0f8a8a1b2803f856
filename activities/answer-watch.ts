/**
 * Finds the answers to the permission requests for which this worker's turns wait. One query reads all these answers,
 * and the query runs only while a turn waits. The query runs every 300 ms: that needs no listening connection, and a
 * user notices no delay.
 */
import { settledPermissions, type PermissionRow } from '../store/permissions.ts';
import type { Db } from '../store/sql.ts';
import type { PermissionId } from '../contract/ids.ts';

const POLL_INTERVAL_MS = 300;

export class AnswerWatch {
  readonly #sql: Db;
  readonly #waiting = new Map<PermissionId, (row: PermissionRow | undefined) => void>();
  #polling = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(sql: Db) {
    this.#sql = sql;
  }

  /**
   * Resolves with the request's row when the request is no longer pending or its timeout has passed, or with undefined
   * when the row is deleted. Never resolves after `signal` is aborted.
   */
  settled(id: PermissionId, signal: AbortSignal): Promise<PermissionRow | undefined> {
    return new Promise((resolve) => {
      const remove = (): void => void this.#waiting.delete(id);
      this.#waiting.set(id, (row) => {
        remove();
        signal.removeEventListener('abort', remove);
        resolve(row);
      });
      signal.addEventListener('abort', remove, { once: true });
      if (signal.aborted) remove();
      void this.#poll();
    });
  }

  async #poll(): Promise<void> {
    if (this.#polling || this.#waiting.size === 0) return;
    this.#polling = true;
    clearTimeout(this.#timer); // one timer serves all requests; for a new request the query runs at once
    try {
      // While Postgres is unavailable the query returns no answers. A later query finds them.
      const rows = await settledPermissions(this.#sql, [...this.#waiting.keys()]).catch(() => []);
      for (const { id, row } of rows) this.#waiting.get(id)?.(row);
    } finally {
      this.#polling = false;
    }
    if (this.#waiting.size > 0) this.#timer = setTimeout(() => void this.#poll(), POLL_INTERVAL_MS).unref();
  }
}
