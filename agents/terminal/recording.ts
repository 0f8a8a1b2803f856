/**
 * Records the output and input of a terminal as a compressed asciicast (version 2,
 * https://docs.asciinema.org/manual/asciicast/v2/). The file is readable at any time, except for its last second, also
 * after the adapter was killed.
 *
 * A recording never fails a turn: if its folder cannot be written, the turn has no recording.
 */
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { constants, createGzip, type Gzip } from 'node:zlib';
import type { Size } from './screen.ts';

/** Limit of the text of all events, in characters. 5 MB of output fit; compressed they take about a tenth. */
const KEPT_CHARS = 8 * 1024 * 1024;
const FLUSH_MS = 1_000;

type Code = 'o' | 'i' | 'r' | 'm';

export class Recording {
  readonly #begun = performance.now();
  readonly #gzip: Gzip | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #written: Promise<void> = Promise.resolve();
  #left = KEPT_CHARS;

  constructor(folder: string | undefined, { cols, rows }: Size, title: string) {
    if (folder === undefined) return;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch {
      return; // the turn has no recording
    }
    const startedAt = Date.now();
    const file = createWriteStream(join(folder, `${startedAt}-${process.pid}.cast.gz`), { flags: 'wx', mode: 0o600 });
    const gzip = createGzip();
    gzip.pipe(file);
    this.#written = finished(file).catch(() => {});
    file.on('error', () => gzip.unpipe(file).resume());
    const timestamp = Math.floor(startedAt / 1000);
    gzip.write(`${JSON.stringify({ version: 2, width: cols, height: rows, timestamp, title, env: { TERM } })}\n`);
    this.#gzip = gzip;
    this.#timer = setInterval(() => gzip.flush(constants.Z_SYNC_FLUSH), FLUSH_MS).unref();
  }

  output(text: string): void {
    this.#event('o', text);
  }

  typed(text: string): void {
    this.#event('i', text);
  }

  resized({ cols, rows }: Size): void {
    this.#event('r', `${cols}x${rows}`);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#gzip?.end();
    if (this.#gzip) await this.#written;
  }

  #event(code: Code, text: string): void {
    if (this.#left <= 0) return;
    this.#left -= text.length;
    if (this.#left > 0) this.#write(code, text);
    else this.#write('m', `The recording ends here: it holds ${KEPT_CHARS / 1024 / 1024} MB.`);
  }

  #write(code: Code, text: string): void {
    const seconds = Number(((performance.now() - this.#begun) / 1000).toFixed(3));
    this.#gzip?.write(`${JSON.stringify([seconds, code, text])}\n`);
  }
}

export const TERM = 'xterm-256color';
