/** `longhaul down`: stops everything of a home in order, whether or not its supervisor still lives. */
import type { Command } from 'commander';
import { exists } from '../services/exists.ts';
import { prepareHome } from '../services/home.ts';
import { makeParts } from '../services/supervisor/parts.ts';
import { readSettings, type Settings } from '../services/settings.ts';
import { readStatus } from '../services/status.ts';
import { stopHome } from '../services/stop-home.ts';
import { runCommand } from './exit.ts';
import { withExamples } from './help.ts';

export function registerDown(program: Command): void {
  const command = program
    .command('down')
    .option('--json', 'for programs')
    .action((options: { json?: boolean }) =>
      runCommand(options, async () => {
        const stopped = await down(readSettings());
        process.stdout.write(options.json ? `${JSON.stringify({ stopped })}\n` : `${sentence(stopped)}\n`);
      }),
    );
  withExamples(command, ['longhaul down']);
}

function sentence(stopped: readonly string[]): string {
  return stopped.length === 0 ? 'nothing was running' : `stopped: ${stopped.join(', ')}`;
}

/** Names of what ran and is now stopped. */
export async function down(settings: Settings): Promise<string[]> {
  if (!(await exists(settings.home))) return [];
  const paths = await prepareHome(settings.home);
  const ran = (await readStatus(settings)).parts.filter((part) => part.pid !== null).map((part) => part.name);
  await stopHome(paths, makeParts({ settings, paths, migrate: async () => {} }));
  return ran;
}
