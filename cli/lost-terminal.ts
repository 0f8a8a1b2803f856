/**
 * A terminal that was closed while a command ran. Node restores the settings of each terminal when the process exits, and
 * aborts (SIGABRT) where that fails: on a terminal that hung up (src/node.cc, ResetStdio; seen with Node 20). Node skips a
 * descriptor that is another file by then.
 */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { isatty } from 'node:tty';

const STDIO = [0, 1, 2] as const;

/** Call it as the command starts; call the result before the process exits. */
export function watchTerminal(): () => void {
  const terminals = STDIO.filter((fd) => isatty(fd));
  return () => {
    for (const fd of terminals.filter((each) => !isatty(each))) {
      closeSync(fd);
      openSync(devNull, 'r+'); // takes the lowest number that is free, which is this one
    }
  };
}
