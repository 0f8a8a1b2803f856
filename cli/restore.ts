/** `longhaul restore`: makes a home from a backup. */
import { restore } from '../maintenance/backup/restore.ts';
import { runCommand } from './exit.ts';
import { shellSettings } from './settings.ts';

export const restoreAction = (file: string, options: { json?: boolean }) =>
  runCommand(options, async () => {
    const { home } = shellSettings();
    const { made, lost } = await restore(home, file);
    if (options.json) {
      process.stdout.write(`${JSON.stringify({ home, made_at: made.madeAt, lost_results: lost })}\n`);
      return;
    }
    for (const [project, refs] of Object.entries(lost))
      process.stderr.write(
        `note: in ${project} the repository or the commits are missing for ${refs.length} ${refs.length === 1 ? 'result' : 'results'}; their diffs are in the database\n`,
      );
    process.stdout.write(
      `${home} is restored as of ${made.madeAt}. \`longhaul up -d\` starts it; open tasks start again.\n`,
    );
  });
