/**
 * `longhaul completion`: generates a script for the user's shell from the definitions of the commands. The script
 * contains the commands, options and their values. The script requests ids of tasks and sessions and names of agents
 * with `longhaul completion --words`, which prints nothing if the services do not run.
 */
import type { Command, Option } from 'commander';
import { type SHELLS, WORDS, type Words } from './definitions/completion.ts';

/** The data of one command that the completion script contains. */
interface Completed {
  /** The command's words, for instance `run` or `agents add`; empty for `longhaul` itself. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly description: string;
    readonly value: Value;
  }[];
  readonly argument: Value;
  readonly subcommands: readonly string[];
}

type Value = 'none' | 'any' | 'files' | 'folders' | Words | readonly string[];

function completedOf(command: Command, path: readonly string[] = []): Completed[] {
  const visible = command.options.filter((option) => !option.hidden);
  const self: Completed = {
    path,
    description: command.description(),
    options: [
      ...visible.map((option) => ({
        flags: [option.short, option.long].filter((flag) => flag !== undefined),
        description: option.description,
        value: valueOf(option),
      })),
      { flags: ['-h', '--help'], description: 'display help for command', value: 'none' },
    ],
    argument: argumentOf(command),
    subcommands: command.commands.map((one) => one.name()),
  };
  return [self, ...command.commands.flatMap((one) => completedOf(one, [...path, one.name()]))];
}

function valueOf(option: Option): Value {
  if (!option.required && !option.optional) return 'none';
  if (option.argChoices) return option.argChoices;
  if (option.long === '--agent') return 'agents';
  if (option.long === '--path') return 'files';
  if (option.long === '--session') return 'sessions';
  return option.long === '--project' ? 'folders' : 'any';
}

/**
 * Commands that accept only some tasks. The argument of such a command is completed only with the ids of tasks that the
 * command accepts.
 */
const TASKS_OF: Readonly<Record<string, Words>> = { cancel: 'open-tasks', retry: 'ended-tasks', rm: 'ended-tasks' };

function argumentOf(command: Command): Value {
  const [first] = command.registeredArguments;
  if (!first) return 'none';
  if (first.argChoices) return first.argChoices;
  if (first.name() === 'session') return 'sessions';
  if (command.parent?.name() === 'queue') return 'open-tasks';
  if (first.name() === 'task') return TASKS_OF[command.name()] ?? 'tasks';
  return command.parent?.name() === 'agents' ? 'agents' : 'any';
}

export function scriptFor(shell: (typeof SHELLS)[number], program: Command): string {
  const commands = completedOf(program);
  if (shell === 'fish') return fishScript(commands);
  const script = bashScript(commands);
  return shell === 'bash' ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`;
}

const keyOf = ({ path }: Completed): string => path.join('/');

function bashScript(commands: readonly Completed[]): string {
  const known = commands.filter(({ path }) => path.length > 0).map((one) => `'${keyOf(one)}'`);
  const values = commands.flatMap((one) =>
    one.options
      .filter(({ value }) => value !== 'none')
      .map(
        ({ flags, value }) =>
          `    ${flags.map((flag) => `'${keyOf(one)}:${flag}'`).join('|')}) ${bashReply(value)}; return;;`,
      ),
  );
  const flags = commands.map(
    (one) => `      '${keyOf(one)}') ${bashReply(one.options.flatMap((option) => option.flags))};;`,
  );
  const words = commands.map((one) => {
    const value = one.subcommands.length > 0 ? one.subcommands : one.argument;
    return `    '${keyOf(one)}') ${bashReply(value)};;`;
  });
  return `# Completion of longhaul; for bash: source <(longhaul completion bash)
_longhaul() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${command:+$command/}\${COMP_WORDS[i]}" in
      ${known.join('|')}) command="\${command:+$command/}\${COMP_WORDS[i]}";;
    esac
  done
  COMPREPLY=()
  case "$command:$prev" in
${values.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case "$command" in
${flags.join('\n')}
    esac
    return
  fi
  case "$command" in
${words.join('\n')}
  esac
}
complete -F _longhaul longhaul
`;
}

function bashReply(value: Value): string {
  if (value === 'none' || value === 'any') return ':';
  if (value === 'files') return 'COMPREPLY=($(compgen -f -- "$cur"))';
  if (value === 'folders') return 'COMPREPLY=($(compgen -d -- "$cur"))';
  const words = typeof value === 'string' ? `$(longhaul completion --words ${value} 2>/dev/null)` : value.join(' ');
  return `COMPREPLY=($(compgen -W "${words}" -- "$cur"))`;
}

function fishScript(commands: readonly Completed[]): string {
  const lines = commands.flatMap((one) => {
    const when = fishCondition(one);
    const subcommands = one.subcommands.map((name) => {
      const described = commands.find(({ path }) => path.join(' ') === [...one.path, name].join(' '));
      return `complete -c longhaul -n ${when} -a ${name} -d ${fishQuoted(described?.description ?? '')}`;
    });
    const argument = fishWords(one.argument);
    const options = one.options.map(({ flags, description, value }) => {
      const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
      const files = value === 'files' || value === 'folders' ? ' -rF' : value === 'none' ? '' : ' -x';
      return `complete -c longhaul -n ${when} ${names.join(' ')}${files}${fishWords(value)} -d ${fishQuoted(description)}`;
    });
    return [...subcommands, ...(argument ? [`complete -c longhaul -n ${when}${argument}`] : []), ...options];
  });
  return `# Completion of longhaul for fish: longhaul completion fish | source\ncomplete -c longhaul -f\n${lines.join('\n')}\n`;
}

function fishCondition({ path, subcommands }: Completed): string {
  if (path.length === 0) return '__fish_use_subcommand';
  const seen = path.map((name) => `__fish_seen_subcommand_from ${name}`);
  const not = subcommands.map((name) => `not __fish_seen_subcommand_from ${name}`);
  return `'${[...seen, ...not].join('; and ')}'`;
}

const isAsked = (value: Value): value is Words => WORDS.some((kind) => kind === value);

function fishWords(value: Value): string {
  if (isAsked(value)) return ` -a '(longhaul completion --words ${value} 2>/dev/null)'`;
  return typeof value === 'string' ? '' : ` -a ${fishQuoted(value.join(' '))}`;
}

const fishQuoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
