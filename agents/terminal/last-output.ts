/** The last lines of a program's output, which say why it failed. */
const LINES = 12;
/** So many lines are searched, because the message is above the frames of a stack trace. */
const LOOKED_AT_LINES = 60;
/** `    at async Turn.run (file:///gemini.js:33:24) {`. gemini and other Node programs end with ten of them. */
const STACK_FRAME = /^\s+at \S.*(:\d+:\d+\)?|\(<anonymous>\)|\(native\))( \{)?$/;

/** Without the frames of stack traces. `lastLines`: the last lines of the screen. */
export function lastOutput(lastLines: (count: number) => readonly string[]): string {
  const lines = lastLines(LOOKED_AT_LINES).filter((line) => !STACK_FRAME.test(line));
  return lines.slice(-LINES).join('\n');
}
