/**
 * While lines are redrawn, a key that the terminal echoes would appear among them, and Enter would move them. So echo is off,
 * and this module does what the terminal does with Ctrl-C, Ctrl-\\ and Ctrl-Z.
 */
import { readFileSync } from 'node:fs';

const SIGNALS: ReadonlyMap<number, NodeJS.Signals> = new Map([
  [0x03, 'SIGINT'],
  [0x1c, 'SIGQUIT'],
]);
const CTRL_Z = 0x1a;
/** For the signal to stop all threads; after that the timer waits until the process continues. */
const STOPPED_MS = 50;

export interface KeyboardEvents {
  /** The process is about to be stopped by Ctrl-Z. */
  readonly stopping: () => void;
  readonly continued: () => void;
  /** A printable key, as one character. */
  readonly typed?: (key: string) => void;
}

/** Does nothing where stdin is no terminal, or another job has the terminal. */
export function muteKeyboard(events: KeyboardEvents): { end(): void } {
  const { stdin } = process;
  if (!stdin.isTTY) return { end: () => {} };
  const mute = (): void => {
    // A job in the background that reads from the terminal, or sets its mode, is stopped by that.
    if (!isInForeground()) return void stdin.pause();
    // libuv skips a mode that it has set before, although a shell has changed it since.
    stdin.setRawMode(false);
    stdin.setRawMode(true);
    stdin.off('data', read).on('data', read).resume();
  };
  const restart = (): void => {
    mute();
    events.continued();
  };
  const read = (keys: Buffer): void => {
    for (const key of keys) {
      const signal = SIGNALS.get(key);
      // To the whole job, as the terminal does.
      if (signal) process.kill(0, signal);
      if (key >= 0x20 && key < 0x7f) events.typed?.(String.fromCharCode(key));
      if (key !== CTRL_Z) continue;
      stdin.setRawMode(false);
      events.stopping();
      process.kill(0, 'SIGTSTP');
      setTimeout(restart, STOPPED_MS).unref();
    }
  };
  // SIGHUP ends the command if the terminal is closed.
  const ignore = (): void => {};
  process.on('SIGCONT', restart);
  stdin.on('error', ignore);
  mute();
  return {
    end() {
      process.off('SIGCONT', restart);
      stdin.off('data', read);
      stdin.pause();
      if (isInForeground()) stdin.setRawMode(false);
      stdin.unref();
    },
  };
}

/** Node has no function for it; /proc has the value. */
function isInForeground(): boolean {
  try {
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const [, , group, , , foreground] = fields;
    return group === foreground;
  } catch {
    return false;
  }
}
