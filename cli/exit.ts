/** How commands exit: their exit codes, and the one function that prints an error. */
import { isErrno, LonghaulError, messageOf } from '../contract/errors.ts';

/** `readerGone` is the code that a shell reports for a program that SIGPIPE ended, as in `yes | head`. */
export const EXIT = { done: 0, taskFailed: 1, usage: 2, cancelled: 3, unreachable: 4, readerGone: 141 } as const;

let messageWithoutReader = '';

/** Sets the text that is printed on stderr if the reader of stdout closes the pipe from now on. */
export function setMessageWithoutReader(text: string): void {
  messageWithoutReader = text;
}

/**
 * Makes the process exit without an error message when the reader of its output closes it, as in `longhaul watch … |
 * head -1`. The exit code is then `readerGone`.
 */
export function endWithoutReader(): void {
  const leave = (error: Error): void => {
    const gone = isErrno(error, 'EPIPE');
    if (gone && messageWithoutReader !== '') process.stderr.write(`${messageWithoutReader}\n`);
    process.exit(gone ? EXIT.readerGone : EXIT.taskFailed);
  };
  process.stdout.on('error', leave);
  process.stderr.on('error', () => process.exit(EXIT.readerGone));
}

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof LonghaulError)) return EXIT.taskFailed;
  if (error.code === 'service_unreachable') return EXIT.unreachable;
  return error.facts.origin === 'caller' ? EXIT.usage : EXIT.taskFailed;
}

/** Prints an error on stderr: as its message for people, as an RFC 9457 problem document in one line for programs. */
export function printError(error: unknown, options: { readonly json?: boolean | undefined } = {}): void {
  const known = asKnown(error);
  const detail = messageOf(known);
  if (!options.json) {
    process.stderr.write(`longhaul: ${detail}\n`);
    if (!(known instanceof LonghaulError) && known instanceof Error) process.stderr.write(`${known.stack ?? ''}\n`);
    return;
  }
  const code = known instanceof LonghaulError ? known.code : 'internal_error';
  const problem = { type: 'about:blank', title: code.replaceAll('_', ' '), detail, error_code: code };
  process.stderr.write(`${JSON.stringify(problem)}\n`);
}

/**
 * Converts the system's error for a full disk or a missing permission to an error with its own code, because an error
 * without a code of ours is reported as an internal error.
 */
function asKnown(error: unknown): unknown {
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    return new LonghaulError('disk_full', `The disk is full (${messageOf(error)}): free some space and try again.`);
  }
  if (isErrno(error, 'EACCES', 'EPERM', 'EROFS')) {
    return new LonghaulError(
      'invalid_input',
      `Permission denied (${messageOf(error)}): \`longhaul doctor\` checks the folders.`,
    );
  }
  return error;
}

/**
 * Runs a command's work and sets the exit code. The function does not call process.exit, so that output to a pipe is
 * complete: the process exits by itself when no handle is open.
 */
export async function runCommand(
  options: { readonly json?: boolean | undefined },
  work: () => Promise<number | void>,
): Promise<void> {
  try {
    process.exitCode = (await work()) ?? EXIT.done;
  } catch (error) {
    printError(error, options);
    process.exitCode = exitCodeOf(error);
  }
}
