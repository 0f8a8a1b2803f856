/** What an agent is told when it goes on with a turn that was cut off. No agent continues by itself. */
const NOTICE =
  'You were interrupted before you finished this task. What you had done so far is in the working directory: ' +
  'look at it, do not do finished work again, and go on from there. The task was:';

export function resumePrompt(input: string): string {
  return `${NOTICE}\n\n${input}`;
}

/** The task's own words in a prompt made by `resumePrompt`; any other prompt as it is. */
export function promptWithoutNotice(prompt: string): string {
  return prompt.startsWith(NOTICE) ? prompt.slice(NOTICE.length).trimStart() : prompt;
}
