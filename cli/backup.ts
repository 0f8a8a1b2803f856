/** `longhaul backup`: writes the content of a home to one file. */
import { backUp } from '../maintenance/backup/backup.ts';
import { runCommand } from './exit.ts';
import { shellSettings } from './settings.ts';

export const backupAction = (file: string, options: { json?: boolean }) =>
  runCommand(options, async () => {
    const { projects } = await backUp(shellSettings(), file);
    const results = projects.reduce((sum, { refs }) => sum + Object.keys(refs).length, 0);
    if (options.json) process.stdout.write(`${JSON.stringify({ file, projects: projects.length, results })}\n`);
    else
      process.stdout.write(
        `${file}: the database, the token, ${results} ${results === 1 ? 'result' : 'results'} of ${projects.length} ${projects.length === 1 ? 'project' : 'projects'}. ` +
          'It holds secrets: protect it as you protect the home.\n',
      );
  });
