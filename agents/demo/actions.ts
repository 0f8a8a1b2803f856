/** Executes the demo agent's instructions. A repeated instruction has its effect only once, even after a kill. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, relative, resolve, sep } from 'node:path';
import {
  methods,
  type AgentContext,
  type RequestPermissionRequest,
  type ToolCall,
} from '@agentclientprotocol/sdk/unstable';
import { signalGroup } from '../../processes/end.ts';
import { tail } from '../../contract/cut-text.ts';
import { isErrno, messageOf } from '../../contract/errors.ts';
import type { Instruction } from './instructions.ts';
import type { DemoOutput } from './demo-output.ts';
import { saveSession, type StoredSession, type StoredTurn } from './session-store.ts';

const FLOOD_CHUNK = 8 * 1024;
const OUTPUT_SHOWN = 8 * 1024;
/** Time between SIGTERM and SIGKILL, in which git removes its lock file. */
const STOP_MS = 200;

export interface InstructionContext {
  readonly client: AgentContext;
  readonly session: StoredSession;
  readonly turn: StoredTurn;
  readonly show: DemoOutput;
  readonly signal: AbortSignal;
  /** Unique to the instruction, and the same when the instruction is repeated. */
  readonly callId: string;
}

type FileChange = Extract<Instruction, { kind: 'write' | 'append' | 'delete' | 'rename' }>;

function inside(cwd: string, file: string): string {
  const path = resolve(cwd, file);
  const inner = relative(cwd, path);
  if (inner === '' || inner === '..' || inner.startsWith(`..${sep}`)) throw new Error(`${file} is not in ${cwd}`);
  return path;
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/**
 * Appends the text once. A killed append wrote nothing or the whole line; the length of the file before the append
 * shows which.
 */
async function append({ session, turn }: InstructionContext, path: string, text: string): Promise<string> {
  const now = (await textOf(path)) ?? '';
  const before = turn.lengthBefore;
  const resumed = before !== undefined && before <= now.length;
  const base = resumed ? now.slice(0, before) : now;
  turn.lengthBefore = base.length;
  saveSession(session);
  const start = base === '' || base.endsWith('\n') ? base : `${base}\n`;
  await writeFile(path, start + text);
  return start + text;
}

interface Outcome {
  readonly path: string;
  readonly oldText: string | null;
  readonly newText: string;
}

async function change(context: InstructionContext, instruction: FileChange): Promise<Outcome> {
  const { cwd } = context.session;
  if (instruction.kind === 'rename') {
    const [from, to] = [inside(cwd, instruction.from), inside(cwd, instruction.to)];
    const text = (await textOf(from)) ?? (await textOf(to));
    if (text === undefined) throw new Error(`${instruction.from} does not exist`);
    await mkdir(dirname(to), { recursive: true });
    if ((await stat(from).catch(() => undefined)) !== undefined) await rename(from, to);
    return { path: to, oldText: text, newText: text };
  }
  const path = inside(cwd, instruction.file);
  const before = await textOf(path);
  if (instruction.kind === 'delete') {
    if (before === undefined) throw new Error(`${instruction.file} does not exist`);
    await rm(path);
    return { path, oldText: before, newText: '' };
  }
  await mkdir(dirname(path), { recursive: true });
  if (instruction.kind === 'append') {
    return { path, oldText: before ?? null, newText: await append(context, path, instruction.text) };
  }
  await writeFile(path, instruction.text);
  return { path, oldText: before ?? null, newText: instruction.text };
}

const KINDS = { write: 'edit', append: 'edit', delete: 'delete', rename: 'move' } as const;

export async function changeFile(context: InstructionContext, title: string, instruction: FileChange): Promise<void> {
  const { session, turn, show, callId } = context;
  const files = instruction.kind === 'rename' ? [instruction.from, instruction.to] : [instruction.file];
  const denied = files.find((file) => turn.denied.includes(file));
  if (denied !== undefined) return show.say(`I leave ${denied} as it is: that was not allowed.\n`);
  const paths = files.map((file) => resolve(session.cwd, file));
  await show.beginCall(callId, { title, kind: KINDS[instruction.kind], paths });
  if (session.mode === 'look') return show.endCall(callId, 'completed', 'Not done: in mode look nothing is changed.');
  try {
    await show.endCall(callId, 'completed', { type: 'diff', ...(await change(context, instruction)) });
  } catch (error) {
    if (context.signal.aborted) throw error;
    const reason = messageOf(error);
    await show.endCall(callId, 'failed', reason);
    await show.say(`That did not work: ${reason}.\n`);
  }
}

/** Asks for permission immediately. The answer applies to the following instructions of this turn. */
export async function requestEdit(context: InstructionContext, file: string): Promise<void> {
  const { client, session, turn, show, signal, callId } = context;
  if (session.allowed.includes(file)) return;
  const title = `Change ${file}`;
  const locations = [{ path: resolve(session.cwd, file) }];
  const call: ToolCall = {
    toolCallId: callId,
    title,
    kind: 'edit',
    status: 'pending',
    locations,
  };
  await show.update({ sessionUpdate: 'tool_call', ...call });
  const request: RequestPermissionRequest = {
    sessionId: session.id,
    toolCall: call,
    // The options have no meaningful order or ids, so that a client that selects by position or by id selects the wrong
    // one.
    options: [
      { optionId: 'o1', name: 'Always allow in this session', kind: 'allow_always' },
      { optionId: 'o2', name: 'Do not allow', kind: 'reject_once' },
      { optionId: 'o3', name: 'Allow this time', kind: 'allow_once' },
    ],
  };
  const answer = await client.request(methods.client.session.requestPermission, request);
  signal.throwIfAborted();
  const chosen = answer.outcome.outcome === 'selected' ? answer.outcome.optionId : undefined;
  const allowed = chosen === 'o1' || chosen === 'o3';
  if (chosen === 'o1') session.allowed.push(file);
  if (!allowed) turn.denied.push(file);
  await show.endCall(callId, allowed ? 'completed' : 'failed', allowed ? 'Allowed.' : 'Not allowed.');
}

/** Runs the command in a process group of its own, as the shell tools of real agents do. */
export async function run(context: InstructionContext, command: string, words: readonly string[]): Promise<void> {
  const { session, show, signal, callId } = context;
  const [program, ...args] = words;
  await show.beginCall(callId, { title: `Run ${command}`, kind: 'execute', paths: [], input: { command: words } });
  if (program === undefined || session.mode === 'look') return show.endCall(callId, 'completed', 'Not run.');
  const child = spawn(program, args, { cwd: session.cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const signalAll = (name: NodeJS.Signals): void => {
    if (child.pid !== undefined) signalGroup(child.pid, name);
  };
  let killTimer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    signalAll('SIGTERM');
    killTimer = setTimeout(() => signalAll('SIGKILL'), STOP_MS);
  };
  signal.addEventListener('abort', stop);
  let output = '';
  let shown: Promise<void> = Promise.resolve();
  const take = (chunk: string): void => {
    output = tail(output + chunk, OUTPUT_SHOWN);
    // After a stop the updates fail. The failure is ignored, because the end of the turn reports the stop.
    shown = shown.then(() => show.showOutput(callId, output)).catch(() => {});
  };
  // Each stream has its own decoder, because a character may arrive in two chunks.
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  const end = await new Promise<string>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('close', (code, killer) => done(killer === null ? `exit code ${code}` : `ended by ${killer}`));
  });
  clearTimeout(killTimer);
  signal.removeEventListener('abort', stop);
  await shown;
  signal.throwIfAborted();
  await show.endCall(callId, end === 'exit code 0' ? 'completed' : 'failed', `${output}(${end})`);
}

/** Writes lines that differ from each other, so that a test can detect missing lines. */
export async function flood({ show }: InstructionContext, megabytes: number): Promise<void> {
  const total = megabytes * 1024 * 1024;
  for (let sent = 0; sent < total; sent += FLOOD_CHUNK) {
    const size = Math.min(FLOOD_CHUNK, total - sent);
    const text = `${`flood ${sent} `.padEnd(size - 1, '.')}\n`.slice(-size);
    await show.update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
  }
}
