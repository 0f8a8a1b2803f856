/**
 * The log of a program: one JSON line for each entry, on stdout. A line that cannot be written is lost, and the program
 * continues: pino's own destination ends the process on a full disk, and with it every turn.
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
    // A full disk, or a reader that is gone: there is no other place to report it.
  }
}
