/** `longhaul down`: stops all parts of a home in order, with or without a running supervisor. */
import { exists } from '../processes/exists.ts';
import { prepareHome } from '../services/home/home.ts';
import { partsToFind } from '../services/supervisor/parts.ts';
import type { Settings } from '../services/settings.ts';
import { readStatus } from '../services/status.ts';
import { stopHome } from '../services/stop-home.ts';
import { runCommand } from './exit.ts';
import { shellSettings } from './settings.ts';

export const downAction = (options: { json?: boolean }) =>
  runCommand(options, async () => {
    const stopped = await down(shellSettings());
    process.stdout.write(options.json ? `${JSON.stringify({ stopped })}\n` : `${sentence(stopped)}\n`);
  });

function sentence(stopped: readonly string[]): string {
  return stopped.length === 0 ? 'nothing was running' : `stopped: ${stopped.join(', ')}`;
}

/** Returns the names of the parts that ran and are now stopped. */
export async function down(settings: Settings): Promise<string[]> {
  if (!(await exists(settings.home))) return [];
  const paths = await prepareHome(settings.home);
  const ran = (await readStatus(settings)).parts.filter((part) => part.pid !== null).map((part) => part.name);
  await stopHome(paths, partsToFind({ settings, paths }));
  return ran;
}
