/** Returns the last lines of a program's output, which give the reason of its failure. */
const LINES = 12;
/**
 * How many of the last lines are searched. More lines than `LINES` are searched, because a stack trace follows the
 * message that explains it.
 */
const SEARCHED_LINES = 60;
/**
 * A line such as ` at async Turn.run (file:///gemini.js:33:24) {`. gemini and other Node programs end with ten of them.
 */
const STACK_FRAME = /^\s+at \S.*(:\d+:\d+\)?|\(<anonymous>\)|\(native\))( \{)?$/;

/** Returns the last output without the frames of stack traces. `lastLines` returns the last lines of the screen. */
export function lastOutput(lastLines: (count: number) => readonly string[]): string {
  const lines = lastLines(SEARCHED_LINES).filter((line) => !STACK_FRAME.test(line));
  return lines.slice(-LINES).join('\n');
}
