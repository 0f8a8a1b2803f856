/** The texts that the native agent sends to a model in addition to the conversation. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { head } from '../../contract/cut-text.ts';
import type { Mode } from './tools/tools.ts';

const INSTRUCTIONS_FILE = 'AGENTS.md';
const INSTRUCTIONS_CHARS = 16_000;

const MODE_WORDS: Readonly<Record<Mode, string>> = {
  code: 'Do the task: read what is needed, edit the files, and run the tests or the build where there are any. Do not commit.',
  ask: 'Answer the question. You can read files but change nothing.',
  plan: 'Write a plan for the task: which files change and how, in which order, and how it is checked. You can read files but change nothing.',
};

export interface SystemPrompt {
  readonly cwd: string;
  readonly mode: Mode;
  readonly hasTools: boolean;
}

export function systemPrompt({ cwd, mode, hasTools }: SystemPrompt): string {
  if (!hasTools) return 'You are a software engineer. Answer the question briefly and exactly. You have no tools.';
  const parts = [
    `You are a software engineer that works in the folder ${cwd} with tools. Paths are relative to it.`,
    MODE_WORDS[mode],
    'Read a file before you edit it. If a tool reports an error, read it and act on it; do not repeat the same call.',
    'At the end say briefly what you did and what is left.',
  ];
  const instructions = projectInstructions(cwd);
  if (instructions !== undefined) parts.push(`The project's instructions (${INSTRUCTIONS_FILE}):\n\n${instructions}`);
  return parts.join('\n\n');
}

function projectInstructions(cwd: string): string | undefined {
  const file = join(cwd, INSTRUCTIONS_FILE);
  if (!existsSync(file)) return undefined;
  try {
    return head(readFileSync(file, 'utf8'), INSTRUCTIONS_CHARS);
  } catch {
    return undefined; // a folder, or a file that cannot be read: the task runs without the instructions
  }
}

export const summaryPrompt = (conversation: string): string =>
  'Summarize this conversation between a user and a coding agent, for the agent that continues it. Keep: the task in the ' +
  "user's words, decisions, files read and changed with what changed, results of commands, what is left to do. At most 600 words.\n\n" +
  conversation;
