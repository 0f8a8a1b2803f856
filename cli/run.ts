/** `longhaul run`: submit a task and follow it to its end. */
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
  /** From now on the task may exist: the command learns its id before it exits. */
  readonly submitting: () => void;
  readonly remove: () => void;
}

/** Before the task may exist, Ctrl-C and SIGTERM end the command with the exit code that a shell reports for the signal. */
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
