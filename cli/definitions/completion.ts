/** Defines the arguments and options of `longhaul completion`. */
import { Argument, type Command, Option } from 'commander';
import { withExamples } from '../help.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export const WORDS = ['tasks', 'open-tasks', 'ended-tasks', 'sessions', 'agents'] as const;
export type Words = (typeof WORDS)[number];

export function registerCompletion(program: Command): void {
  const completion = program
    .command('completion')
    .addArgument(new Argument('[shell]', 'the shell').choices(SHELLS))
    .addOption(new Option('--words <kind>', 'the kind of words that the script requests').choices(WORDS).hideHelp())
    .action(async (shell: (typeof SHELLS)[number] | undefined, { words }: { words?: Words }) => {
      if (words) return (await import('../completion-words.ts')).printWords(words);
      if (shell === undefined) return completion.error('error: expected a shell: bash, zsh or fish, found none');
      // The script needs the definitions of all commands, but none of their actions.
      const [{ scriptFor }, { makeWholeProgram }] = await Promise.all([
        import('../completion.ts'),
        import('../program.ts'),
      ]);
      process.stdout.write(scriptFor(shell, await makeWholeProgram()));
    });
  withExamples(
    completion,
    ['source <(longhaul completion bash)', 'in ~/.bashrc'],
    ['source <(longhaul completion zsh)', 'in ~/.zshrc, after compinit'],
    ['longhaul completion fish | source', 'in ~/.config/fish/config.fish'],
  );
}
