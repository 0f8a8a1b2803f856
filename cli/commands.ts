/** `longhaul commands`: the commands that an agent offers. */
import { resolve } from 'node:path';
import { findProjects } from '../client/projects.ts';
import type { AgentEntry } from '../client/agent-snapshots.ts';
import type { ProjectId } from '../contract/ids.ts';
import { offerOf } from './agent-offers.ts';
import { runCommand } from './exit.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { harmless } from './terminal.ts';

export const commandsAction = (agent: string, options: { project?: string; json?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const entry = await offerOf(longhaul, agent, await projectOf(longhaul, options.project));
      const shown = options.json ? JSON.stringify(entry.commands, undefined, 2) : commandsText(entry);
      process.stdout.write(`${shown}\n`);
    }),
  );

async function projectOf(longhaul: CommandContext['longhaul'], path: string | undefined): Promise<ProjectId | null> {
  if (path === undefined) return null;
  const [id] = await findProjects(longhaul, resolve(path));
  return id ?? null;
}

function commandsText({ name, status, commands }: AgentEntry): string {
  if (commands.length === 0) return `${harmless(name)} offers no commands${status === 'ready' ? '' : ` (${status})`}`;
  const lines = commands.map(({ name: word, argument_hint: hint, description }) => {
    const typed = `/${word}${hint === null ? '' : ` ${hint}`}`;
    return `${harmless(typed).padEnd(24)}  ${harmless(description)}`;
  });
  return lines.join('\n');
}
