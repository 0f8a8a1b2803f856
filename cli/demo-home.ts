/**
 * The temporary home of `longhaul demo`: services of its own on free ports, independent of a running Longhaul and of
 * the user's settings. The demo shares only the cache (the Temporal server's program) with a running Longhaul.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureUp } from '../services/ensure-up.ts';
import { prepareHome } from '../services/home/home.ts';
import { endProcess } from '../processes/end.ts';
import { type RunningProcess } from '../services/supervisor/detached.ts';
import { readSettings, type Settings } from '../services/settings.ts';
import { down } from './down.ts';
import { spawnSupervisor, supervisorLogOf } from './up.ts';
import { orAbort } from '../contract/promises.ts';

const run = promisify(execFile);

/**
 * Timeout for stopping all parts. It is the same as that of `longhaul down`, because the supervisor stops its parts one
 * after the other.
 */
const STOP_MS = 130_000;
const KILL_MS = 5_000;

const SAMPLE: Readonly<Record<string, string>> = {
  'README.md': '# Hello\n\nA small program that greets.\n',
  'hello.js': "console.log('Hello!');\n",
  'package.json': '{ "name": "hello", "private": true, "type": "module" }\n',
};

export interface DemoHome {
  readonly path: string;
  /** Path of the sample project's checkout. */
  readonly project: string;
  readonly settings: Settings;
  readonly say: (line: string) => void;
  /** Starts all parts and resolves when they are ready. */
  start(signal: AbortSignal): Promise<void>;
  /** Stops all parts and removes the home. */
  remove(): Promise<void>;
}

/** Creates the folder of the home and returns its functions. Nothing runs before `start` is called. */
export async function makeDemoHome(say: (line: string) => void): Promise<DemoHome> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'longhaul-demo-')));
  const env = demoEnvironment(path);
  const settings = readSettings(env);
  let supervisor: Promise<RunningProcess> | undefined;
  return {
    path,
    project: join(path, 'hello'),
    settings,
    say,
    async start(signal) {
      await makeProject(join(path, 'hello'));
      const paths = await prepareHome(path);
      const startSupervisor = async (): Promise<RunningProcess> => {
        signal.throwIfAborted();
        supervisor = spawnSupervisor(paths, env);
        return supervisor;
      };
      await orAbort(ensureUp({ paths, startSupervisor, supervisorLog: supervisorLogOf(paths), report: say }), signal);
    },
    async remove() {
      // The supervisor is first stopped by its process identity: a supervisor that has just started holds no lock yet,
      // so `down` would not find it.
      const spawned = await supervisor?.catch(() => undefined);
      if (spawned) {
        await endProcess(spawned.identity, [
          { signal: 'SIGTERM', withinMs: STOP_MS },
          { signal: 'SIGKILL', withinMs: KILL_MS },
        ]);
      }
      await down(settings);
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * Returns the environment of this process without the variables that name the user's services. This environment makes
 * the demo agent store its sessions in the demo's home, too.
 */
function demoEnvironment(home: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => name === 'LONGHAUL_CACHE' || !/^(DATABASE_URL$|DEFAULT_MODEL$|TEMPORAL_|LONGHAUL_)/.test(name),
  );
  return {
    ...Object.fromEntries(inherited),
    TEMPORAL_CONFIG_FILE: devNull,
    LONGHAUL_HOME: home,
    LONGHAUL_LISTEN: '127.0.0.1:0',
    XDG_STATE_HOME: join(home, 'agent-state'),
  };
}

async function makeProject(folder: string): Promise<void> {
  await mkdir(folder);
  for (const [name, text] of Object.entries(SAMPLE)) await writeFile(join(folder, name), text);
  // The user's git settings do not apply: no signing, no templates and no hooks.
  const env = { PATH: process.env['PATH'], HOME: folder, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' };
  const git = (...args: string[]) => run('git', args, { cwd: folder, env });
  await git('-c', 'init.defaultBranch=main', 'init', '--quiet');
  await git('add', '--all');
  const author = ['-c', 'user.name=Longhaul demo', '-c', 'user.email=demo@longhaul.invalid'];
  await git(...author, 'commit', '--quiet', '--message', 'A program that greets');
}
