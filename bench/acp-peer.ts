/** A minimal ACP client, like that of a simple dispatcher. Longhaul is compared with programs that use this client. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const message = z.looseObject({
  id: z.union([z.number(), z.string()]).optional(),
  method: z.string().optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.unknown().optional(),
});
const newSession = z.looseObject({ sessionId: z.string() });
const permission = z.looseObject({ options: z.array(z.looseObject({ optionId: z.string(), kind: z.string() })) });

export interface PeerStart {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onSpawn?: () => void | Promise<void>;
}

export interface PeerRun extends PeerStart {
  readonly prompt: string;
}

interface PeerSession {
  readonly id: string;
  readonly request: (method: string, params: object) => Promise<unknown>;
  /** Closes the agent's stdin and waits until the process has exited. */
  readonly end: () => Promise<void>;
}

/**
 * Runs one turn: spawn, initialize, session/new, session/prompt, end of stdin, exit of the process. Returns the stop
 * reason.
 */
export async function runPeer({ prompt, ...start }: PeerRun): Promise<unknown> {
  const { id: sessionId, request, end } = await openPeer(start);
  const result = await request('session/prompt', { sessionId, prompt: [{ type: 'text', text: prompt }] });
  await end();
  return z.looseObject({ stopReason: z.unknown() }).parse(result).stopReason;
}

/** Returns the time from the spawn to the response of session/new, in ms. */
export async function sessionReadyMs(start: PeerStart): Promise<number> {
  const began = performance.now();
  const { end } = await openPeer(start);
  const ms = performance.now() - began;
  await end();
  return ms;
}

async function openPeer({ command, args, cwd, env, onSpawn }: PeerStart): Promise<PeerSession> {
  const child = spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  await onSpawn?.();
  const waiting = new Map<unknown, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  const send = (body: object): void => void child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...body })}\n`);
  let lastId = 0;
  const request = (method: string, params: object): Promise<unknown> => {
    const id = (lastId += 1);
    send({ id, method, params });
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, method, params, result, error } = message.parse(JSON.parse(line));
    if (method === 'session/request_permission') send({ id, result: { outcome: allow(params) } });
    else if (method !== undefined && id !== undefined) send({ id, error: { code: -32601, message: 'not here' } });
    else if (error === undefined) waiting.get(id)?.resolve(result);
    else waiting.get(id)?.reject(new Error(JSON.stringify(error)));
  });
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error(`${command} ended in the middle of its turn`));
  });
  const fs = { readTextFile: false, writeTextFile: false };
  await request('initialize', { protocolVersion: 1, clientCapabilities: { fs, terminal: false } });
  const { sessionId } = newSession.parse(await request('session/new', { cwd, mcpServers: [] }));
  const end = async (): Promise<void> => {
    child.stdin.end();
    await exited;
  };
  return { id: sessionId, request, end };
}

function allow(params: unknown): object {
  const { options } = permission.parse(params);
  const option = options.find(({ kind }) => kind === 'allow_once') ?? options[0];
  return option ? { outcome: 'selected', optionId: option.optionId } : { outcome: 'cancelled' };
}
