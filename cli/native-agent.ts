/** `longhaul native-agent`: the native agent on stdin and stdout, for other clients of the Agent Client Protocol. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Command } from 'commander';
import { loaderArguments, loaderEnv, moduleOfOurs } from '../processes/own-module.ts';
import { withExamples } from './help.ts';

export function registerNativeAgent(program: Command): void {
  const command = program
    .command('native-agent')
    .option('--sessions <folder>', 'where it keeps its sessions (default: longhaul-native-agent in XDG_STATE_HOME)')
    .action(({ sessions }: { sessions?: string }) => run(sessions === undefined ? [] : ['--sessions', sessions]));
  withExamples(command, [
    'DEFAULT_MODEL=local/qwen3 LONGHAUL_LOCAL_MODEL_URL=http://127.0.0.1:8080/v1 longhaul native-agent',
    'as an ACP client starts it',
  ]);
}

/** A process of its own: the commands of `longhaul` import no agent. */
async function run(args: readonly string[]): Promise<void> {
  const main = moduleOfOurs('agents/native/main');
  const child = spawn(process.execPath, [...loaderArguments(main), main, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...loaderEnv() },
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
