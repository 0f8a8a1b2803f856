/** A Temporal server that is not ours: stock settings, none of our search attributes, at an address that the test says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { connectTemporal, probeTemporal } from '../../client/temporal.ts';
import { findTemporal } from '../../services/temporal/binary.ts';
import { until } from '../lab/until.ts';

export interface ForeignTemporal {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Not started. */
export async function foreignTemporal(dir: string, port: number, cacheDir: string): Promise<ForeignTemporal> {
  const program = await findTemporal({ cacheDir, env: process.env, onProgress: () => {} });
  let child: ChildProcess | undefined;
  return {
    async start() {
      const args = ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port)];
      child = spawn(program, [...args, '--db-filename', path.join(dir, 'temporal.db'), '--log-level', 'error'], {
        stdio: 'ignore',
        env: { PATH: process.env['PATH'], HOME: dir },
      });
      const link = connectTemporal({ namespace: 'default', connection: { address: `127.0.0.1:${port}`, tls: false } });
      const serves = () => probeTemporal(link.client, 1_000).then(() => true, () => false); // prettier-ignore
      try {
        await until('the Temporal server', serves);
      } finally {
        await link.close();
      }
    },
    async stop() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
