/**
 * The program of the native agent, Longhaul's own agent over a model API. It speaks ACP on stdin and stdout.
 *
 *   main.ts --sessions FOLDER [--answers-only] [--max-steps N]
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { ndJsonStream } from '@agentclientprotocol/sdk/unstable';
import { serveNativeAgent } from './serve.ts';

const MAX_STEPS = 200;

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    sessions: { type: 'string' },
    'answers-only': { type: 'boolean', default: false },
    'max-steps': { type: 'string', default: String(MAX_STEPS) },
  },
});
const state = process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
const stream = ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin));
await serveNativeAgent(stream, {
  sessionsFolder: values.sessions ?? join(state, 'longhaul-native-agent'),
  answersOnly: values['answers-only'],
  maxSteps: Number(values['max-steps']),
  env: process.env,
});
process.exit(0);
