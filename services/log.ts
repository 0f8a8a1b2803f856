/**
 * The log of a program: one JSON line for each entry, on stdout. If a line cannot be written, it is lost and the
 * program continues. Pino's own destination is not used, because on a full disk it ends the process, which would end
 * every turn of that process.
 */
import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';

const STDOUT = 1;

/** `part`: the program's name in every line. */
export function makeLog(part: string): Logger {
  return pino({ base: { part, pid: process.pid } }, { write: writeOrLose });
}

function writeOrLose(line: string): void {
  try {
    writeSync(STDOUT, line);
  } catch {
    // The disk is full or the reader has exited. The line is lost, because there is no other place to report the
    // failure.
  }
}
