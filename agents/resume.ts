/** Builds the prompt that makes an agent continue an interrupted turn. No agent continues without a prompt. */
const NOTICE =
  'You were interrupted before you finished this task. What you had done so far is in the working directory: ' +
  'look at it, do not repeat finished work, and continue from there.';
const THE_TASK = 'The task was:\n\n';
const NAMED_LIMIT = 5;

/** `cutOff` contains the titles of the tool calls that were open when the turn was interrupted. */
export function resumePrompt(input: string, cutOff: readonly string[] = []): string {
  const names = cutOff.slice(-NAMED_LIMIT).map((title) => JSON.stringify(title));
  const warning =
    names.length === 0
      ? ''
      : ` These tool calls were interrupted, and their outcome is unknown: ${names.join(', ')}. ` +
        'Check what they have done before you repeat them.';
  return `${NOTICE}${warning} ${THE_TASK}${input}`;
}

/** Returns the task's own text from a prompt that `resumePrompt` built. Any other prompt is returned unchanged. */
export function promptWithoutNotice(prompt: string): string {
  return prompt.startsWith(NOTICE) ? prompt.slice(prompt.indexOf(THE_TASK) + THE_TASK.length) : prompt;
}
