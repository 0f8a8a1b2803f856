/**
 * Handles a terminal that was closed while a command ran. When a process exits, Node restores the settings of each
 * terminal. If the restoring fails, as for a closed terminal, Node aborts (SIGABRT; src/node.cc, ResetStdio; seen with
 * Node 20). Node skips a descriptor that has since been opened on another file, so the lost terminal is replaced by
 * /dev/null.
 */
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { isatty } from 'node:tty';

const STDIO = [0, 1, 2] as const;

/**
 * Records which descriptors are terminals, and returns a function that replaces the terminals that were closed since
 * then. Call `watchTerminal` when the command starts, and the returned function before the process exits.
 */
export function watchTerminal(): () => void {
  const terminals = STDIO.filter((fd) => isatty(fd));
  return () => {
    for (const fd of terminals.filter((each) => !isatty(each))) {
      closeSync(fd);
      openSync(devNull, 'r+'); // the kernel assigns the lowest free descriptor, which is the one just closed
    }
  };
}
