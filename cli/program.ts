/**
 * Builds the program with all commands and reports wrong usage. The module of a command is loaded only when its command
 * line needs it, because to load all of them takes several times as long as Node takes to start.
 */
import { Command } from 'commander';
import { LonghaulError } from '../contract/errors.ts';
import { printError } from './exit.ts';
import { withExamples } from './help.ts';
import { packageVersion } from '../processes/package-version.ts';
import { commandWithText, markTexts } from './task-words.ts';

interface CommandEntry {
  readonly name: string;
  readonly description: string;
  /** Loads a function that adds the command to the program, with arguments, options and action. */
  readonly load: () => Promise<(program: Command) => void>;
}

/** All commands, in the order of `longhaul --help`. */
const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'up',
    description: 'start, attach to or repair Postgres, Temporal, the worker and the backend',
    load: async () => (await import('./definitions/up.ts')).registerUp,
  },
  {
    name: 'down',
    description: 'stop backend, worker, Temporal and Postgres, in this order',
    load: async () => (await import('./definitions/down.ts')).registerDown,
  },
  {
    name: 'status',
    description: 'show the parts and their addresses; exit code 4 unless all parts are ready',
    load: async () => (await import('./definitions/status.ts')).registerStatus,
  },
  {
    name: 'doctor',
    description:
      'check machine, home, services and agents; exit code 1 for a problem, 4 for a service that does not respond',
    load: async () => (await import('./definitions/doctor.ts')).registerDoctor,
  },
  {
    name: 'run',
    description: 'submit a task and follow it; Ctrl-C detaches, the task continues',
    load: async () => (await import('./definitions/run.ts')).registerRun,
  },
  {
    name: 'submit',
    description: 'submit a task and print its id',
    load: async () => (await import('./definitions/submit.ts')).registerSubmit,
  },
  {
    name: 'send',
    description: 'continue a session with another message, after the tasks that wait in it; prints the id',
    load: async () => (await import('./definitions/send.ts')).registerSend,
  },
  {
    name: 'reply',
    description: 'continue the session of a task, in its chat; prints the id',
    load: async () => (await import('./definitions/send.ts')).registerReply,
  },
  {
    name: 'queue',
    description: 'show or change the waiting tasks of a session: add, edit, move, rm, hold, release',
    load: async () => (await import('./definitions/queue.ts')).registerQueue,
  },
  {
    name: 'watch',
    description: 'follow a task from its beginning; Ctrl-C detaches, the task continues',
    load: async () => (await import('./definitions/watch.ts')).registerWatch,
  },
  {
    name: 'ls',
    description: 'list tasks, newest first, or sessions',
    load: async () => (await import('./definitions/ls.ts')).registerLs,
  },
  {
    name: 'show',
    description: 'show one task',
    load: async () => (await import('./definitions/show.ts')).registerShow,
  },
  {
    name: 'commands',
    description: 'list the commands that an agent offers',
    load: async () => (await import('./definitions/commands.ts')).registerCommands,
  },
  {
    name: 'prompts',
    description: 'list the permission requests that wait for a person',
    load: async () => (await import('./definitions/prompts.ts')).registerPrompts,
  },
  {
    name: 'answer',
    description: 'answer a permission request of an agent',
    load: async () => (await import('./definitions/answer.ts')).registerAnswer,
  },
  {
    name: 'rules',
    description: 'show, add or remove rules that answer permission requests before the policy of a task',
    load: async () => (await import('./definitions/rules.ts')).registerRules,
  },
  {
    name: 'cancel',
    description: 'cancel a task; its edits so far are kept as a partial change',
    load: async () => (await import('./definitions/cancel.ts')).registerCancel,
  },
  {
    name: 'diff',
    description: 'print the change of a task as a patch',
    load: async () => (await import('./definitions/diff.ts')).registerDiff,
  },
  {
    name: 'apply',
    description: "merge a change into the files of the project's checkout; nothing is committed",
    load: async () => (await import('./definitions/apply.ts')).registerApply,
  },
  {
    name: 'undo',
    description: "take an applied change out of the project's checkout again",
    load: async () => (await import('./definitions/apply.ts')).registerUndo,
  },
  {
    name: 'reject',
    description: 'record that a change is not wanted',
    load: async () => (await import('./definitions/apply.ts')).registerReject,
  },
  {
    name: 'fetch',
    description: "bring the commit of a task's result into the project, as a ref",
    load: async () => (await import('./definitions/fetch.ts')).registerFetch,
  },
  {
    name: 'replay',
    description: "show what the terminal of a task's agent showed",
    load: async () => (await import('./definitions/replay.ts')).registerReplay,
  },
  {
    name: 'retry',
    description: 'submit the input of an ended task again, as a new task; prints its id',
    load: async () => (await import('./definitions/retry.ts')).registerRetry,
  },
  {
    name: 'rm',
    description: 'remove an ended task with its messages and its change',
    load: async () => (await import('./definitions/rm.ts')).registerRm,
  },
  {
    name: 'logs',
    description: 'print the logs of the parts: supervisor, worker, backend, temporal, postgres',
    load: async () => (await import('./definitions/logs.ts')).registerLogs,
  },
  {
    name: 'agents',
    description: "show the agents; adds those found on the worker's PATH to the list, as the worker does at its start",
    load: async () => (await import('./definitions/agents.ts')).registerAgents,
  },
  {
    name: 'gc',
    description: 'remove leftovers: worktrees, processes, locks, temporary files that no task needs',
    load: async () => (await import('./definitions/gc.ts')).registerGc,
  },
  {
    name: 'psql',
    description: 'open the database with psql; further arguments are passed to psql',
    load: async () => (await import('./definitions/psql.ts')).registerPsql,
  },
  {
    name: 'backup',
    description: 'write database, token and results into one file; the services may run or be stopped',
    load: async () => (await import('./definitions/backup.ts')).registerBackup,
  },
  {
    name: 'restore',
    description: 'create the home from a backup',
    load: async () => (await import('./definitions/restore.ts')).registerRestore,
  },
  {
    name: 'systemd',
    description: 'print a unit for `systemctl --user` that keeps the services running',
    load: async () => (await import('./definitions/systemd.ts')).registerSystemd,
  },
  {
    name: 'demo',
    description: 'run one task from beginning to end: a temporary home, a sample project, an agent without a model',
    load: async () => (await import('./definitions/demo.ts')).registerDemo,
  },
  {
    name: 'native-agent',
    description: 'run the native agent on stdin and stdout, for other clients of the Agent Client Protocol',
    load: async () => (await import('./definitions/native-agent.ts')).registerNativeAgent,
  },
  {
    name: 'completion',
    description: 'print a completion script for your shell: commands, options, tasks, agents',
    load: async () => (await import('./definitions/completion.ts')).registerCompletion,
  },
];

export type ReportWrongUsage = (error: LonghaulError) => void;

/**
 * Makes the program with the names of all commands, and with the arguments, options and action of the called command
 * only. `words`: the arguments after `longhaul`.
 */
export async function makeProgram(
  words: readonly string[] = process.argv.slice(2),
  say: ReportWrongUsage = print(words),
): Promise<Command> {
  const [first, second] = words.filter((word) => !word.startsWith('-'));
  const called = first === 'help' ? second : first;
  return assemble(({ name }) => name === called, words, say);
}

/** Returns the program with the options and actions of every command, for completion and for tests. */
export function makeWholeProgram(): Promise<Command> {
  return assemble(() => true, [], print([]));
}

async function assemble(
  isWanted: (entry: CommandEntry) => boolean,
  words: readonly string[],
  say: ReportWrongUsage,
): Promise<Command> {
  const program = new Command('longhaul')
    .description('durable coding-agent tasks on Temporal')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    // An option after a command's name belongs to that command, which `longhaul psql` needs.
    .enablePositionalOptions()
    .configureOutput({ outputError: (text) => say(wrongUsage(text, words, helpFor(program, words))) });
  withExamples(
    program,
    ['longhaul up -d', 'starts everything'],
    ["longhaul run 'Fix the failing test'", 'in a git repository'],
    ['longhaul doctor', 'if something does not work'],
  );
  const registers = await Promise.all(COMMANDS.map(async (entry) => (isWanted(entry) ? entry.load() : undefined)));
  for (const [index, { name, description }] of COMMANDS.entries()) {
    const register = registers[index];
    if (register) register(program);
    else program.command(name);
    program.commands.find((command) => command.name() === name)?.description(description);
  }
  return program;
}

/** `words`: the arguments after `longhaul`. */
export async function parseWords(program: Command, words: readonly string[] = process.argv.slice(2)): Promise<void> {
  await program.parseAsync(markTexts(program, words), { from: 'user' });
}

/** Returns the help command for the command or subcommand that was typed, for instance `longhaul agents add --help`. */
function helpFor(program: Command, words: readonly string[]): string {
  let command = program;
  const names = ['longhaul'];
  for (const word of words) {
    const next = command.commands.find((one) => one.name() === word);
    if (!next) break;
    command = next;
    names.push(word);
  }
  return `${names.join(' ')} --help`;
}

/**
 * Returns an error with commander's message, which names the unknown word and a similar one, and with the command that
 * prints the help.
 */
function wrongUsage(text: string, words: readonly string[], help: string): LonghaulError {
  const message = inOurWords(
    text
      .trim()
      .replace(/^error: /, '')
      .replace(/\n+/g, ' '),
  );
  const command = commandWithText(words);
  const dash =
    command !== undefined && message.startsWith('unknown option')
      ? ` Put -- before a text that begins with a dash: \`longhaul ${command} -- '-x …'\`.`
      : '';
  return new LonghaulError('invalid_input', `${message.replace(/\.?$/, '.')}${dash} See \`${help}\`.`);
}

const print =
  (words: readonly string[]): ReportWrongUsage =>
  (error) =>
    printError(error, { json: words.includes('--json') });

/** Rewrites commander's message about an invalid value to name the expected and the found value. */
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
