/** A backend as a process of its own, as the supervisor starts it, on a port that stays when it is started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { builtModule } from './built.ts';

export interface BackendProcess {
  readonly child: ChildProcess;
  /** What it has logged until now. */
  logged(): string;
  /** With SIGKILL: no chance to say goodbye. */
  kill(): Promise<void>;
}

export interface BackendPlaces {
  readonly databaseUrl: string;
  /** Absent: there is no Temporal server. The backend still serves frames. */
  readonly temporalAddress?: string;
  readonly home: string;
  readonly port: number;
  readonly hostName?: string;
  /** File descriptors that it may have. */
  readonly openFiles?: number;
}

/** Resolves once it listens. */
export async function startBackendProcess({
  databaseUrl,
  temporalAddress = '127.0.0.1:1',
  home,
  port,
  hostName,
  openFiles,
}: BackendPlaces): Promise<BackendProcess> {
  const program = [process.execPath, builtModule('backend/main')] as const;
  const [command, args] =
    openFiles === undefined
      ? [program[0], [program[1]]]
      : ['/bin/sh', ['-c', `ulimit -n ${openFiles}; exec "$@"`, 'sh', ...program]];
  const child = spawn(command, args, {
    env: {
      PATH: process.env['PATH'],
      LONGHAUL_HOME: home,
      LONGHAUL_LISTEN: `127.0.0.1:${port}`,
      DATABASE_URL: databaseUrl,
      TEMPORAL_ADDRESS: temporalAddress,
      TEMPORAL_CONFIG_FILE: '/dev/null',
      ...(hostName === undefined ? {} : { LONGHAUL_HOST_NAME: hostName }),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('"address":"')) resolve();
    });
    child.once('exit', () => reject(new Error(`the backend ended: ${text}`)));
  });
  return {
    child,
    logged: () => text,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
