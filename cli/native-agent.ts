/**
 * `longhaul native-agent`: runs the native agent on stdin and stdout, for other clients of the Agent Client Protocol.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { loaderArguments, loaderEnv, ownModulePath } from '../processes/own-module.ts';

export const nativeAgentAction = ({ sessions }: { sessions?: string }): Promise<void> =>
  run(sessions === undefined ? [] : ['--sessions', sessions]);

/** The agent runs as a process of its own, because the commands of `longhaul` import no agent. */
async function run(args: readonly string[]): Promise<void> {
  const main = ownModulePath('agents/native/main');
  const child = spawn(process.execPath, [...loaderArguments(main), main, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...loaderEnv() },
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
