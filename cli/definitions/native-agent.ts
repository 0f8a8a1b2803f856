/** Defines the arguments and options of `longhaul native-agent`. */
import type { Command } from 'commander';
import { withExamples } from '../help.ts';
import { lazily } from './lazily.ts';

export function registerNativeAgent(program: Command): void {
  const command = program
    .command('native-agent')
    .option('--sessions <folder>', 'where it keeps its sessions (default: longhaul-native-agent in XDG_STATE_HOME)')
    .action(lazily(async () => (await import('../native-agent.ts')).nativeAgentAction));
  withExamples(command, [
    'DEFAULT_MODEL=local/qwen3 LONGHAUL_LOCAL_MODEL_URL=http://127.0.0.1:8080/v1 longhaul native-agent',
    'as an ACP client starts it',
  ]);
}
