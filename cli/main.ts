/** The command `longhaul`. Each command registers itself from a file of its own. */
import { Command, CommanderError } from 'commander';
import { registerCancel } from './cancel.ts';
import { registerDemo } from './demo.ts';
import { registerDiff } from './diff.ts';
import { registerDown } from './down.ts';
import { EXIT } from './exit.ts';
import { registerLs } from './ls.ts';
import { registerRun } from './run.ts';
import { registerShow } from './show.ts';
import { registerStatus } from './status.ts';
import { registerSubmit } from './submit.ts';
import { registerUp } from './up.ts';
import { registerWatch } from './watch.ts';

const program = new Command('longhaul')
  .description('durable coding-agent tasks on Temporal')
  .exitOverride()
  .showHelpAfterError();

registerUp(program);
registerDown(program);
registerStatus(program);
registerRun(program);
registerSubmit(program);
registerWatch(program);
registerLs(program);
registerShow(program);
registerCancel(program);
registerDiff(program);
registerDemo(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version were asked for; all else is wrong usage, and commander has said what.
  process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
}
