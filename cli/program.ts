/** All commands, and how wrong usage is told. */
import { Command } from 'commander';
import { LonghaulError } from '../workflows/errors.ts';
import { registerAgents } from './agents.ts';
import { registerCancel } from './cancel.ts';
import { registerCompletion } from './completion.ts';
import { registerDemo } from './demo.ts';
import { registerDiff } from './diff.ts';
import { registerDoctor } from './doctor.ts';
import { registerDown } from './down.ts';
import { printError } from './exit.ts';
import { registerGc } from './gc.ts';
import { withExamples } from './help.ts';
import { registerLs } from './ls.ts';
import { registerRun } from './run.ts';
import { registerShow } from './show.ts';
import { registerStatus } from './status.ts';
import { registerSubmit } from './submit.ts';
import { registerUp } from './up.ts';
import { packageVersion } from '../processes/package-version.ts';
import { COMMANDS_WITH_TEXT, markTexts } from './task-words.ts';
import { registerWatch } from './watch.ts';

const COMMANDS: readonly ((program: Command) => void)[] = [
  registerUp,
  registerDown,
  registerStatus,
  registerDoctor,
  registerRun,
  registerSubmit,
  registerWatch,
  registerLs,
  registerShow,
  registerCancel,
  registerDiff,
  registerAgents,
  registerGc,
  registerDemo,
  registerCompletion,
];

export type SayWrongUsage = (error: LonghaulError) => void;

/** `words`: what was typed after `longhaul`. */
export function makeProgram(
  words: readonly string[] = process.argv.slice(2),
  say: SayWrongUsage = print(words),
): Command {
  const program = new Command('longhaul')
    .description('durable coding-agent tasks on Temporal')
    .version(packageVersion(), '-V, --version')
    .exitOverride();
  // Commander says what was found, and what was meant if that is near; which help to read is for us to say.
  const outputError = (text: string): void => {
    const known = program.commands.find((command) => command.name() === words[0]);
    const help = known ? `longhaul ${known.name()} --help` : 'longhaul --help';
    const message = inOurWords(
      text
        .trim()
        .replace(/^error: /, '')
        .replace(/\n+/g, ' '),
    );
    const dash =
      COMMANDS_WITH_TEXT.includes(words[0] ?? '') && message.startsWith('unknown option')
        ? ` A text that begins with a dash stands after --: \`longhaul ${words[0]} -- '-x …'\`.`
        : '';
    say(new LonghaulError('invalid_input', `${message.replace(/\.?$/, '.')}${dash} See \`${help}\`.`));
  };
  program.configureOutput({ outputError });
  withExamples(
    program,
    ['longhaul up -d', 'starts everything'],
    ["longhaul run 'Fix the failing test'", 'in a git repository'],
    ['longhaul doctor', 'if something does not work'],
  );
  for (const register of COMMANDS) register(program);
  return program;
}

/** `words`: what was typed after `longhaul`. */
export async function parseWords(program: Command, words: readonly string[] = process.argv.slice(2)): Promise<void> {
  await program.parseAsync(markTexts(program, words), { from: 'user' });
}

const print =
  (words: readonly string[]): SayWrongUsage =>
  (error) =>
    printError(error, { json: words.includes('--json') });

/** A value that is wrong: what was expected, what was found. */
function inOurWords(message: string): string {
  const wrong =
    /^option '(?<what>[^']+)' argument '(?<found>.*)' is invalid\. (?<rest>.*)$/.exec(message) ??
    /^command-argument value '(?<found>.*)' is invalid for argument '(?<what>[^']+)'\. (?<rest>.*)$/.exec(message);
  const { what = '', found = '', rest = '' } = wrong?.groups ?? {};
  if (!wrong) return message;
  const name = /--[\w-]+/.exec(what)?.[0] ?? what;
  const choices = /^Allowed choices are (.*?)\.?$/.exec(rest)?.[1];
  return `${name}: ${choices === undefined ? rest : `expected one of ${choices}, found ${JSON.stringify(found)}`}`;
}
