/** `longhaul systemd`: prints a user unit that keeps the services of a home running. */
import { resolve } from 'node:path';
import { LonghaulError } from '../contract/errors.ts';
import { readSettings } from '../services/settings.ts';
import { runCommand } from './exit.ts';

/**
 * The time that systemd allows for a stop. It is longer than the 130 s that the supervisor takes at most to stop its
 * parts one after the other.
 */
const STOP_SECONDS = 150;
/**
 * Variables that may contain passwords or keys. They belong in a file that only its owner can read, never in a unit.
 */
const SECRET = /^(DATABASE_URL$|TEMPORAL_)/;

export const systemdAction = () =>
  runCommand({}, async () => {
    process.stdout.write(unitText(process.env));
  });

export function unitText(env: NodeJS.ProcessEnv): string {
  const { home } = readSettings(env);
  const program = process.argv[1];
  if (program === undefined) throw new LonghaulError('internal_error', 'this command has no path');
  const ours = Object.entries(env).filter(([name]) => name === 'PATH' || name.startsWith('LONGHAUL_'));
  const variables = Object.entries({ ...Object.fromEntries(ours), LONGHAUL_HOME: home }).map(
    ([name, value]) => `Environment=${quoted(`${name}=${value ?? ''}`)}`,
  );
  const secrets = Object.keys(env).filter((name) => SECRET.test(name));
  const note = secrets.length === 0 ? '' : ` This shell has ${secrets.sort().join(', ')}.`;
  return `[Unit]
Description=Longhaul: durable coding-agent tasks

[Service]
Type=exec
ExecStart=${quoted(process.execPath, '$')} ${quoted(resolve(program), '$')} up
${variables.join('\n')}
# Agents' keys, DATABASE_URL and TEMPORAL_*: NAME=value lines in this file, readable by you alone (chmod 600).${note}
EnvironmentFile=-${escaped(`${home}/environment`)}
# The supervisor stops its parts in order. They outlive a supervisor that was killed, and the next one attaches to them.
KillMode=process
TimeoutStopSec=${STOP_SECONDS}
Restart=on-failure
RestartSec=2
# An agent that runs out of memory does not end everything else.
OOMPolicy=continue

[Install]
WantedBy=default.target
`;
}

/** Doubles each percent sign, which begins a specifier (systemd.unit(5)). */
const escaped = (text: string): string => text.replaceAll('%', '%%');

/**
 * Quotes a value (systemd.syntax(7)). With `variable`, each dollar sign is doubled, too: in a command line it begins a
 * variable.
 */
function quoted(text: string, variable?: '$'): string {
  const inside = escaped(text).replace(/["\\]/g, '\\$&');
  return `"${variable ? inside.replaceAll('$', '$$$$') : inside}"`;
}
