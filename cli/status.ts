/** `longhaul status`: what runs, and where. */
import type { Command } from 'commander';
import { headline } from '../services/ensure-up.ts';
import { readSettings } from '../services/settings.ts';
import { readStatus, type Status } from '../services/status.ts';
import { EXIT, runCommand } from './exit.ts';
import { withExamples } from './help.ts';

export function registerStatus(program: Command): void {
  const command = program
    .command('status')
    .option('--json', 'for programs')
    .action((options: { json?: boolean }) =>
      runCommand(options, async () => {
        const status = await readStatus(readSettings());
        process.stdout.write(options.json ? `${JSON.stringify(status, undefined, 2)}\n` : statusText(status));
        return status.parts.every((part) => part.state === 'ready') ? EXIT.done : EXIT.unreachable;
      }),
    );
  withExamples(command, ['longhaul status'], ['longhaul status --json']);
}

function statusText(status: Status): string {
  const parts = status.parts.map((part) => {
    const pid = part.pid === null ? '' : String(part.pid);
    return `${part.name.padEnd(11)}${part.state.padEnd(10)}${pid.padEnd(9)}${headline(part.detail ?? '')}`.trimEnd();
  });
  // Addresses of what has stopped would only look usable.
  const down = status.parts.every((part) => part.pid === null);
  return `${[...parts, '', down ? `Home         ${status.home}` : placesText(status)].join('\n')}\n`;
}

/** The addresses that a person wants after a start. */
export function placesText(status: Status): string {
  const places: [string, string | null][] = [
    ['Backend', status.backend_url],
    ['Temporal UI', status.temporal_ui_url],
    ['Temporal', status.temporal_address],
    ['Postgres', status.database_url],
    ['Home', status.home],
  ];
  return places
    .filter(([, place]) => place !== null)
    .map(([name, place]) => `${name.padEnd(13)}${place}`)
    .join('\n');
}
