/** Defines the arguments and options of `longhaul send` and `longhaul reply`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';
import { notEmpty } from './submission-options.ts';

export interface FollowUpOptions {
  readonly interrupt?: boolean;
  readonly agent?: string;
  readonly model?: string;
  readonly mode?: string;
  readonly thinking?: string;
  readonly chat?: string;
  readonly json?: boolean;
}

const withOptions = (command: Command): Command =>
  command
    .argument('<input...>', "the next task for the agent; - reads it from stdin; put -- before a text like '-x'")
    .option('--interrupt', 'cancel the running task; this one is the next')
    .option('--agent <name>', 'another agent than before', notEmpty)
    .option('--model <id>', "one of the agent's models (default: as before)", notEmpty)
    .option('--mode <id>', "one of the agent's modes (default: as before)", notEmpty)
    .option('--thinking <id>', "one of the agent's thinking options (default: as before)", notEmpty)
    .option('--json', 'print the task as JSON');

export function registerSend(program: Command): void {
  const send = withOptions(
    program.command('send').argument('<session>', 'a session, or a task of it; id, or the beginning of one'),
  )
    .option('--chat <id>', 'a chat of the session (default: its newest open one)', notEmpty)
    .action(lazily(async () => (await import('../send.ts')).sendAction));
  withExamples(
    send,
    ["longhaul send 5e6f7a8b 'And now the docs'", 'after the tasks that wait; prints the id'],
    ["longhaul send --interrupt 5e6f7a8b 'Stop: use the other API'"],
  );
}

export function registerReply(program: Command): void {
  const reply = withOptions(program.command('reply').argument('<task>', 'id, or the beginning of one')).action(
    lazily(async () => (await import('../send.ts')).replyAction),
  );
  withExamples(reply, ["longhaul reply 1a2b3c4d 'Now also fix the tests'", 'in the session and the chat of that task']);
}
