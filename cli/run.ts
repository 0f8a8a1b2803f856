/** `longhaul run`: submits a task and follows it to its end. */
import { runCommand } from './exit.ts';
import { followToEnd } from './follow.ts';
import { withLonghaul } from './longhaul.ts';
import type { SubmissionOptions } from './definitions/submission-options.ts';
import { submitFrom } from './submission.ts';

export const runAction = (words: string[], options: SubmissionOptions & { verbose?: boolean }) =>
  runCommand(options, () => {
    const { signal, submitting, remove } = detachSignal();
    return withLonghaul(async (context) => {
      submitting();
      const { taskId } = await submitFrom(context, words, options);
      return followToEnd(context, taskId, {
        showsInput: false,
        json: options.json === true,
        verbose: options.verbose === true,
        signal,
      });
    }).finally(remove);
  });

const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

interface DetachSignal {
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  /**
   * Must be called before the task is submitted. From then on the task may exist, and a signal no longer ends the
   * command before it has learned the task's id.
   */
  readonly submitting: () => void;
  readonly remove: () => void;
}

/**
 * Handles Ctrl-C and SIGTERM. Until the task may exist they end the command, with the exit code that a shell reports
 * for the signal. After that they abort the AbortSignal that is returned.
 */
function detachSignal(): DetachSignal {
  const detach = new AbortController();
  let mayExist = false;
  const onSignal = (name: keyof typeof SIGNALS): void => {
    detach.abort();
    if (mayExist) return;
    process.stderr.write(`longhaul: ended by ${name} before the task was submitted\n`);
    process.exit(SIGNALS[name]);
  };
  const names = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[];
  for (const name of names) process.on(name, onSignal);
  return {
    signal: detach.signal,
    submitting: () => {
      mayExist = true;
    },
    remove: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}
