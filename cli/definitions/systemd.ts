/** Defines the arguments and options of `longhaul systemd`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerSystemd(program: Command): void {
  const command = program.command('systemd').action(lazily(async () => (await import('../systemd.ts')).systemdAction));
  withExamples(
    command,
    ['longhaul systemd > ~/.config/systemd/user/longhaul.service', 'with the PATH and LONGHAUL_* of this shell'],
    ['systemctl --user daemon-reload && systemctl --user enable --now longhaul'],
    ['loginctl enable-linger', 'start it with the machine, and keep it running after you log out'],
  );
}
