/**
 * The log of a program: a JSON line for each thing said, on stdout. A line that cannot be written is lost and nothing
 * else: pino's own destination ends the process on a full disk, and with it every turn.
 */
import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';

const STDOUT = 1;

/** `part` names the program in every line. */
export function makeLog(part: string): Logger {
  return pino({ base: { part, pid: process.pid } }, { write: writeOrLose });
}

function writeOrLose(line: string): void {
  try {
    writeSync(STDOUT, line);
  } catch {
    // A full disk, a reader that has gone: there is nobody to tell.
  }
}
