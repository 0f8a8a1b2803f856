/** `longhaul status`: shows which parts run, and the addresses of the services. */
import { withoutPassword } from '../services/postgres/password.ts';
import { oneLineDetail, otherDatabaseNote, partsOfOtherVersion, readStatus, type Status } from '../services/status.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { StatusField } from './definitions/status.ts';
import { EXIT, runCommand } from './exit.ts';
import { shellSettings } from './settings.ts';

export const statusAction = (options: { json?: boolean; get?: StatusField }) =>
  runCommand(options, async () => {
    if (options.get) return printField(await readStatus(shellSettings()), options.get);
    const settings = shellSettings();
    const status = await readStatus(settings);
    const note = otherDatabaseNote(settings, status.database_url);
    process.stdout.write(
      options.json ? `${JSON.stringify(status, undefined, 2)}\n` : statusText(status, note && `note: ${note}`),
    );
    return status.parts.every((part) => part.state === 'ready') ? EXIT.done : EXIT.unreachable;
  });

function printField(status: Status, field: StatusField): void {
  const value = status[field];
  if (value === null) {
    throw new LonghaulError('service_unreachable', `${field} is not known: run \`longhaul up -d\`.`);
  }
  process.stdout.write(`${value}\n`);
}

function statusText(status: Status, databaseNote: string | undefined): string {
  const parts = status.parts.map((part) => {
    const pid = part.pid === null ? '' : String(part.pid);
    return `${part.name.padEnd(11)}${part.state.padEnd(10)}${pid.padEnd(9)}${oneLineDetail(part.detail ?? '')}`.trimEnd();
  });
  // If no part runs, the addresses are omitted, because they would look usable.
  const down = status.parts.every((part) => part.pid === null);
  const notes = [versionNote(status), databaseNote].filter((note) => note !== undefined);
  return `${[...parts, '', ...notes.flatMap((note) => [note, '']), down ? `Home         ${status.home}` : addressesText(status)].join('\n')}\n`;
}

/** Returns a note if running parts are of another version than this command. */
export function versionNote(status: Status): string | undefined {
  const parts = partsOfOtherVersion(status);
  if (parts.length === 0) return undefined;
  const running = parts.map(({ name, version }) => `${name} ${version}`).join(', ');
  return (
    `note: these parts run another version than this command (${status.version}): ${running}; \`longhaul down && longhaul up -d\` ` +
    'replaces them (running agents are interrupted and continue)'
  );
}

/** Returns the addresses that a user needs after a start. */
export function addressesText(status: Status): string {
  const places: [string, string | null][] = [
    ['Backend', status.backend_url],
    ['Temporal UI', status.temporal_ui_url],
    ['Temporal', status.temporal_address],
    ['Postgres', status.database_url === null ? null : withoutPassword(status.database_url)],
    ['Home', status.home],
  ];
  return places
    .filter(([, place]) => place !== null)
    .map(([name, place]) => `${name.padEnd(13)}${place}`)
    .join('\n');
}
