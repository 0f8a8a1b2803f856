/** `longhaul up`: starts the supervisor, in the foreground or (-d) in the background. */
import { join } from 'node:path';
import { migrateDatabase } from '../client/migrate-database.ts';
import { ensureUp } from '../services/ensure-up.ts';
import { homePaths, type HomePaths, prepareHome, readState } from '../services/home/home.ts';
import { registerHome } from '../services/home/identity.ts';
import { makeParts, refuseTakenPort } from '../services/supervisor/parts.ts';
import { spawnDetached, type RunningProcess } from '../services/supervisor/detached.ts';
import { buildVersion } from '../processes/package-version.ts';
import { loaderArguments, loaderEnv, ownModulePath } from '../processes/own-module.ts';
import { refuseInvalidDefaultModel, type Settings, settingsFingerprint } from '../services/settings.ts';
import { liveSupervisor, readStatus, type Status } from '../services/status.ts';
import { superviseHome } from '../services/supervisor/supervise-home.ts';
import { tokenForStart } from '../services/token.ts';
import { profilesOf } from '../maintenance/agents.ts';
import { refuseInsideTask } from '../maintenance/inside-task.ts';
import { differingVariables, workerEnvironment } from '../maintenance/worker-environment.ts';
import { runCommand } from './exit.ts';
import { watchTerminal } from './lost-terminal.ts';
import { addressesText, versionNote } from './status.ts';
import { shellSettings } from './settings.ts';

export const upAction = (options: { detach?: boolean; json?: boolean }) =>
  runCommand(options, async () => {
    const settings = shellSettings();
    if (options.detach) await upInBackground(settings, sayOnStderr);
    else if ((await upInForeground(settings)) === 'supervised') return;
    else process.stdout.write('a supervisor runs in this home already; `longhaul down` stops it\n');
    const status = await readStatus(settings);
    process.stdout.write(
      options.json ? `${JSON.stringify(status, undefined, 2)}\n` : `${addressesText(status)}\n${readyText(status)}`,
    );
  });

/** Returns a line that names the ready parts, because the lines before it have only their addresses. */
function readyText({ parts }: Status): string {
  const ready = parts.flatMap(({ name, state }) => (state === 'ready' && name !== 'supervisor' ? [name] : []));
  return ready.length === 0 ? '' : `\nready: ${ready.join(', ')}\n`;
}

const sayOnStderr = (line: string): void => void process.stderr.write(`${line}\n`);
/** Prints a report. If stdout is a log (`up -d`, systemd), the line begins with the time. */
const say = (line: string): void => {
  const time = process.stdout.isTTY ? '' : `${new Date().toISOString()} `;
  process.stdout.write(`${time}${line}\n`);
};

/**
 * Starts a supervisor in the background if none runs. Resolves when all parts are ready, whether this supervisor or
 * another one started them.
 */
export async function upInBackground(settings: Settings, onNews: (line: string) => void): Promise<void> {
  const paths = await prepareHome(settings.home);
  const startSupervisor = async (): Promise<RunningProcess> => {
    await refuseStart(settings);
    return spawnSupervisor(paths, { ...process.env, LONGHAUL_HOME: settings.home });
  };
  const state = await readState(paths);
  const supervisor = await liveSupervisor(paths, state);
  if (supervisor && state?.settings !== undefined && state.settings !== settingsFingerprint(settings)) {
    onNews(
      `note: supervisor ${supervisor.pid} was started with other settings (DATABASE_URL, TEMPORAL_*, LONGHAUL_*) and keeps them; ` +
        'run `longhaul down` first to use those of this shell',
    );
  }
  await noteOtherEnvironment(settings, onNews);
  await ensureUp({ paths, startSupervisor, supervisorLog: supervisorLogOf(paths), report: onNews });
  const note = versionNote(await readStatus(settings));
  if (note !== undefined) onNews(note);
}

/**
 * Agents run in the worker's environment. This environment lacks a key that was set, or a program that was installed,
 * after the worker's start, so a note names the variables that differ.
 */
async function noteOtherEnvironment(settings: Settings, onNews: (line: string) => void): Promise<void> {
  const worker = await workerEnvironment(settings);
  const names = worker ? differingVariables(worker, process.env) : [];
  if (names.length === 0) return;
  onNews(
    `note: the worker and its agents keep the environment in which the worker was started; this shell differs in ${names.join(', ')}; ` +
      '`longhaul down && longhaul up -d` uses that of this shell',
  );
}

export const supervisorLogOf = (paths: HomePaths): string => join(paths.logs, 'supervisor.log');

/** Starts a supervisor that outlives this process, for the home that `env` names. */
export async function spawnSupervisor(paths: HomePaths, env: NodeJS.ProcessEnv): Promise<RunningProcess> {
  const entry = ownModulePath('cli/main');
  const supervisor = await spawnDetached({
    command: process.execPath,
    args: [...loaderArguments(entry), entry, 'up'],
    env: { ...env, ...loaderEnv() },
    cwd: paths.home,
    logFile: supervisorLogOf(paths),
  });
  supervisor.release();
  return supervisor;
}

/**
 * Checks the settings before anything starts. Otherwise a part would refuse to run, and the supervisor would restart it
 * repeatedly.
 */
async function refuseStart(settings: Settings): Promise<void> {
  refuseInvalidDefaultModel(process.env);
  // An invalid file of agent settings is reported before anything starts.
  profilesOf({ settingsFile: homePaths(settings.home).agentSettings });
  refuseInsideTask(settings.home, process.env);
  await registerHome(settings.home);
  await tokenForStart(settings);
  await refuseForeignPort(settings);
}

/**
 * Refuses a port that another program uses. If this home's supervisor or backend runs, the port may be its own and is
 * not checked.
 */
async function refuseForeignPort(settings: Settings): Promise<void> {
  const { parts } = await readStatus(settings);
  const ours = parts.some((part) => (part.name === 'supervisor' || part.name === 'backend') && part.pid !== null);
  if (!ours) await refuseTakenPort(settings.listen);
}

/**
 * Runs the supervisor in this process until a signal stops it. If another process already supervises the home, returns
 * `elsewhere`.
 */
async function upInForeground(settings: Settings): Promise<'supervised' | 'elsewhere'> {
  const paths = await prepareHome(settings.home);
  await refuseStart(settings);
  const parts = makeParts({ settings, paths, env: process.env, migrate: migrateDatabase });
  const onReady = async (): Promise<void> =>
    say(`\n${addressesText(await readStatus(settings))}\n\nready; Ctrl-C or \`longhaul down\` stops all parts`);
  const leaveTerminal = watchTerminal();
  const outcome = await superviseHome({
    parts,
    paths,
    report: say,
    onReady,
    settings: settingsFingerprint(settings),
    version: buildVersion(),
  });
  leaveTerminal();
  if (outcome.kind === 'stopped') return 'supervised';
  say(`supervisor ${outcome.holder.pid} holds ${settings.home}`);
  await upInBackground(settings, say);
  return 'elsewhere';
}
