/**
 * Reads the pages that several readers request at the same time with one statement, as the frame writer writes the
 * frames of many turns with one statement.
 */
import type { Sql } from '../store/sql.ts';
import type { SessionId } from '../contract/ids.ts';
import { type PageRead, type PageWanted, readPages } from './page.ts';

/** The maximum number of requests in one statement. With so few requests, the pages do not delay each other. */
const MAX_TOGETHER = 40;

interface Waiting extends PageWanted {
  readonly resolve: (read: PageRead) => void;
  readonly reject: (error: unknown) => void;
}

export class PageReader {
  readonly #sql: Sql;
  #waiting: Waiting[] = [];

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Reads a page at once with a separate statement, so that a large page does not delay others. */
  async alone(sessionId: SessionId, after: number): Promise<PageRead> {
    const [read] = await readPages(this.#sql, [{ sessionId, after }]);
    return read ?? { kind: 'gone' };
  }

  /**
   * Reads a page with one statement for all requests that are made before the process has handled the data that has
   * arrived from Postgres.
   */
  async together(sessionId: SessionId, after: number): Promise<PageRead> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ sessionId, after, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#read(this.#waiting.splice(0)));
    });
  }

  #read(waiting: readonly Waiting[]): void {
    for (let from = 0; from < waiting.length; from += MAX_TOGETHER) {
      const part = waiting.slice(from, from + MAX_TOGETHER);
      readPages(this.#sql, part).then(
        (reads) => part.forEach(({ resolve }, index) => resolve(reads[index] ?? { kind: 'gone' })),
        (error: unknown) => part.forEach(({ reject }) => reject(error)),
      );
    }
  }
}
