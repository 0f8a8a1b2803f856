/** Defines the options that `run` and `submit` share, and checks of values that several commands use. */
import { ruleIn, type RuleWords } from '../../contract/permission-rules.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';

export interface SubmissionOptions {
  readonly project?: string;
  readonly agent?: string;
  readonly model?: string;
  readonly mode?: string;
  readonly thinking?: string;
  readonly session?: string;
  readonly priority?: number;
  readonly policy?: string;
  readonly askTimeout?: number;
  readonly askDefault?: string;
  readonly rule?: readonly RuleWords[];
  readonly json?: boolean;
}

export function addSubmissionOptions(command: Command): Command {
  return command
    .argument('<input...>', "the task for the agent; - reads it from stdin; put -- before a text like '-x'")
    .option('--project <path>', 'a folder in the git repository (default: the current one)', notEmpty)
    .option(
      '--agent <name>',
      'one of available_agents or native, which asks a model itself (default: that of the session, else the only one besides demo)',
      notEmpty,
    )
    .option('--model <id>', "one of the agent's models", notEmpty)
    .option('--mode <id>', "one of the agent's modes", notEmpty)
    .option('--thinking <id>', "one of the agent's thinking options", notEmpty)
    .option('--session <session>', 'continue this session, after its queued tasks; id, or the beginning of one')
    .option('--priority <1-5>', '1 starts first (default: 3)', priorityNumber)
    .addOption(
      new Option(
        '--policy <policy>',
        'what answers when the agent asks for a permission; ask: a person does (default: allow)',
      ).choices(['allow', 'deny', 'ask']),
    )
    .option(
      '--rule <rule>',
      "before the policy, in order: 'allow command npm test', 'deny path secrets/**', 'ask tool edit'",
      ruleWords,
    )
    .option('--ask-timeout <seconds>', 'how long a request waits for a person (default: without limit)', numberFromOne)
    .addOption(
      new Option('--ask-default <answer>', 'what answers a request after that time (default: deny)').choices([
        'allow',
        'deny',
      ]),
    );
}

function ruleWords(text: string, before: readonly RuleWords[] = []): readonly RuleWords[] {
  const rule = ruleIn(text);
  if (rule) return [...before, rule];
  throw new InvalidArgumentError(
    `expected allow, deny or ask with tool KIND, path GLOB or command PATTERN, found ${JSON.stringify(text)}.`,
  );
}

export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError(`expected a whole number, found ${JSON.stringify(text)}.`);
  return Number(text);
}

export function numberFromOne(text: string): number {
  const count = wholeNumber(text);
  if (count < 1) throw new InvalidArgumentError('expected a number from 1, found 0.');
  return count;
}

export function notEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('expected a value, found an empty text.');
  return text;
}

function priorityNumber(text: string): number {
  if (!/^[1-5]$/.test(text)) {
    throw new InvalidArgumentError(`expected a whole number from 1 (first) to 5, found ${JSON.stringify(text)}.`);
  }
  return Number(text);
}
