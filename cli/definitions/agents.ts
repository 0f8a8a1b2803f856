/** Defines the arguments and options of `longhaul agents` and its subcommands. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerAgents(program: Command): void {
  const agents = program
    .command('agents')
    .option('--json', 'for programs')
    .allowExcessArguments()
    .action(lazily(async () => (await import('../agents.ts')).agentsAction));
  withExamples(
    agents,
    ['longhaul agents'],
    ['longhaul agents add mine --path ~/bin/my-agent', 'speaks the Agent Client Protocol'],
    ['longhaul agents remove mine'],
  );
  registerAdd(agents);
  registerRemove(agents);
  registerOffers(agents);
}

function registerAdd(agents: Command): void {
  const add = agents
    .command('add')
    .description('add an agent to the list, so that tasks may name it')
    .argument('<name>', 'a name of the catalogue, or any other with --path')
    .option('--path <file>', 'its program; started without arguments unless the catalogue has the name')
    .option(
      '--registry <source>',
      'a file or an address with an entry of the public registry of ACP agents, or with the whole registry',
    )
    .option('--args <words>', "the program's arguments, as one text; in a terminal {prompt} is replaced")
    .option(
      '--env <variable>',
      'NAME=VALUE for the program; can be repeated',
      (one: string, all: string[]) => [...all, one],
      [],
    )
    .option('--terminal', 'the agent needs a terminal and does not speak ACP')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../agents.ts')).agentsAddAction));
  withExamples(
    add,
    ['longhaul agents add opencode'],
    ["longhaul agents add mine --path ~/bin/my-agent --args '--acp' --env MODE=fast"],
    ['longhaul agents add goose --registry agent.json'],
    ['longhaul agents add mine --path ~/bin/my-agent'],
  );
}

function registerRemove(agents: Command): void {
  const remove = agents
    .command('remove')
    .description('remove an agent from the list; refused while open tasks name it')
    .argument('<name>')
    .option('--json', 'for programs')
    .action(lazily(async () => (await import('../agents.ts')).agentsRemoveAction));
  withExamples(remove, ['longhaul agents remove gemini']);
}

function registerOffers(agents: Command): void {
  const one = (name: string, description: string, action: Parameters<Command['action']>[0]): Command =>
    agents.command(name).description(description).argument('<name>').option('--json', 'for programs').action(action);
  const offers = () => import('../agent-offers.ts');
  const show = one('show', 'what an agent offers: models, modes, commands; why it fails', lazily(async () => (await offers()).agentsShowAction)); // prettier-ignore
  withExamples(show, ['longhaul agents show codex']);
  const refresh = one('refresh', 'start an agent once and ask what it offers', lazily(async () => (await offers()).agentsRefreshAction)); // prettier-ignore
  withExamples(refresh, ['longhaul agents refresh codex']);
  const enable = one('enable', 'let new tasks name an agent again', lazily(async () => (await offers()).agentsEnableAction)); // prettier-ignore
  withExamples(enable, ['longhaul agents enable codex']);
  const disable = one('disable', 'let no new task name an agent', lazily(async () => (await offers()).agentsDisableAction)); // prettier-ignore
  withExamples(disable, ['longhaul agents disable codex']);
}
