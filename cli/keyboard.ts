/**
 * Reads the keyboard while lines of a terminal are redrawn. A key that the terminal echoes would appear among the
 * lines, and Enter would move them. So echo is off, and this module does what the terminal otherwise does with Ctrl-C,
 * Ctrl-\\ and Ctrl-Z.
 */
import { readFileSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

const SIGNALS: ReadonlyMap<number, NodeJS.Signals> = new Map([
  [0x03, 'SIGINT'],
  [0x1c, 'SIGQUIT'],
]);
const CTRL_Z = 0x1a;
/**
 * SIGTSTP stops all threads within this time. So a timer with this delay fires only after the process was continued.
 */
const STOPPED_MS = 50;

export interface KeyboardEvents {
  /** Called before Ctrl-Z stops the process. */
  readonly stopping: () => void;
  readonly continued: () => void;
  /** Called with each printable key, as one character, and with Enter, Backspace and Esc as their control characters. */
  readonly typed?: (key: string) => void;
}

/**
 * Turns off the echo and reports keys to `events`, until `end` is called. Does nothing if stdin is no terminal. Reads
 * nothing while another job is in the foreground.
 */
export function muteKeyboard(events: KeyboardEvents): { end(): void } {
  const { stdin } = process;
  if (!stdin.isTTY) return { end: () => {} };
  const mute = (): void => {
    // The kernel stops a background job that reads from the terminal or sets its mode.
    if (!isInForeground()) return void stdin.pause();
    // The mode is set twice: libuv skips a mode that it has set before, although a shell may have changed it since.
    stdin.setRawMode(false);
    stdin.setRawMode(true);
    stdin.off('data', read).on('data', read).resume();
  };
  const restart = (): void => {
    mute();
    events.continued();
  };
  const decoder = new StringDecoder('utf8');
  const read = (keys: Buffer): void => {
    for (const key of typedKeys(decoder.write(keys))) events.typed?.(key);
    for (const key of keys) {
      const signal = SIGNALS.get(key);
      // The signal is sent to the whole job, as the terminal does.
      if (signal) process.kill(0, signal);
      if (key !== CTRL_Z) continue;
      stdin.setRawMode(false);
      events.stopping();
      process.kill(0, 'SIGTSTP');
      setTimeout(restart, STOPPED_MS).unref();
    }
  };
  // Errors of stdin are ignored: if the terminal is closed, SIGHUP ends the command.
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

/** Matches the sequences that arrow keys and function keys send. They begin with Esc. */
// oxlint-disable-next-line no-control-regex
const SEQUENCES = /\u001b[[O][0-9;]*[A-Za-z~]/g;
// oxlint-disable-next-line no-control-regex
const OTHER_CONTROLS = /[\u0000-\u0007\u0009\u000b\u000c\u000e-\u001a\u001c-\u001f]/g;

const typedKeys = (text: string): string[] => Array.from(text.replace(SEQUENCES, '').replace(OTHER_CONTROLS, ''));

/**
 * Returns whether our process group has the terminal. Node has no function for this, so the value is read from /proc.
 */
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
