/**
 * An ACP agent that follows its script exactly, right or wrong: raw JSON-RPC lines, no SDK. The prompt is a
 * JSON array of steps; what happens before the first prompt is set by the JSON object in argv[2].
 */
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface ScriptedStart {
  readonly initialize?: 'hang' | 'exit' | 'garbage-first' | { readonly result: unknown } | { readonly error: unknown };
  readonly setOption?: { readonly result: unknown } | { readonly error: unknown };
  readonly newSession?: 'hang' | { readonly error: unknown } | { readonly result: unknown };
  readonly load?: {
    readonly result?: unknown;
    readonly error?: unknown;
    readonly exit?: number;
    readonly replay?: readonly unknown[];
  };
  readonly resume?: { readonly error?: unknown };
  /** Updates sent before the answer to session/new. */
  readonly early?: readonly unknown[];
  readonly ignoreTerm?: boolean;
  /** On SIGTERM it creates this file and leaves. */
  readonly onTerm?: string;
  readonly ignoreCancel?: boolean;
  readonly ignoreEof?: boolean;
  readonly setMode?: { readonly error: unknown };
  /** The steps of a prompt that is not a script. */
  readonly words?: readonly Step[];
  /** The methods that it received are appended to this file. It advertises session/delete. */
  readonly journal?: string;
  readonly version?: string;
}

export type Step =
  | { readonly update: unknown; readonly sessionId?: string }
  | { readonly flood: number; readonly characters: number }
  | { readonly raw: string }
  | { readonly rawBase64: readonly string[] }
  | { readonly stderr: string }
  /** A request to the client; its answer is sent back as message text, as JSON. */
  | { readonly ask: string; readonly params: unknown }
  | { readonly echo: 'env' | 'received' | 'args' }
  /** Says the pid. */
  | { readonly spawn: readonly string[]; readonly setsid: boolean }
  /** A file of the working directory. */
  | { readonly write: string; readonly content: string }
  /** As a tool call; with `asks` only if a permission is granted. */
  | { readonly edit: string; readonly content: string; readonly asks: boolean }
  /** `sh -c`, in a process group of its own, to its end; as a tool call unless `silent`. */
  | { readonly run: string; readonly silent?: true }
  /** The same; the name is bytes, in base64. */
  | { readonly writeBytes: string }
  /** Appends to a file until the disk is full, and says the code of the error. */
  | { readonly fill: string }
  /** A file or folder is replaced by a symbolic link. */
  | { readonly link: string; readonly to: string }
  /** A shell script in a session of its own, its parent gone; with its standard streams or with none. */
  | { readonly daemon: string; readonly closed: boolean }
  | { readonly floodStderr: number; readonly characters: number }
  /** So many tool calls, each with its end. */
  | { readonly toolCalls: number }
  | { readonly toolCallOf: number }
  | { readonly planOf: number }
  /** One line of so many characters. */
  | { readonly lineOf: number }
  | { readonly stop: string; readonly usage?: unknown }
  | { readonly error: unknown }
  | { readonly exit: number }
  | { readonly kill: NodeJS.Signals }
  | { readonly closeStdout: true }
  | { readonly waitFor: string }
  | { readonly afterResult: unknown }
  | { readonly sleepMs: number }
  /** Unless the file is there, which it makes: these steps, and nothing after them. */
  | { readonly once: string; readonly do: readonly Step[] }
  | { readonly hang: true };

const start = JSON.parse(process.argv[2] ?? '{}') as ScriptedStart;
const SESSION = 'scripted-session';
const received: unknown[] = [];
const answers = new Map<number, (answer: unknown) => void>();
let nextId = 1000;
let promptId: unknown;
let afterResult: unknown[] = [];

const send = (message: object): void =>
  void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const update = (one: unknown, sessionId = SESSION): void =>
  send({ method: 'session/update', params: { sessionId, update: one } });
const say = (text: string): void => update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });

function endPrompt(body: object): void {
  send({ id: promptId, ...body });
  for (const one of afterResult) update(one);
  afterResult = [];
}

async function ask(method: string, params: unknown): Promise<unknown> {
  nextId += 1;
  const id = nextId;
  const answer = new Promise((resolve) => answers.set(id, resolve));
  send({ id, method, params });
  return answer;
}

/** What needs no answer and no waiting. */
function act(step: Step): boolean {
  if ('write' in step) writeFileSync(step.write, step.content);
  else if ('writeBytes' in step) writeFileSync(Buffer.from(step.writeBytes, 'base64'), 'odd');
  else if ('fill' in step) fill(step.fill);
  else if ('link' in step) {
    rmSync(step.link, { recursive: true, force: true });
    symlinkSync(step.to, step.link);
  } else if ('daemon' in step) {
    const script = `${step.closed ? 'exec 0<&- 1>&- 2>&-; ' : ''}${step.daemon}`;
    spawn('sh', ['-c', 'setsid sh -c "$1" & exit', 'sh', script], { stdio: 'inherit' });
  } else if ('floodStderr' in step) {
    for (let sent = 0; sent < step.floodStderr; sent += 1) process.stderr.write(`${'e'.repeat(step.characters)}\n`);
  } else if ('toolCalls' in step) {
    for (let made = 0; made < step.toolCalls; made += 1) {
      const of = { toolCallId: `call-${made}`, title: `Call ${made}` };
      update({ sessionUpdate: 'tool_call', ...of, status: 'in_progress' });
      update({ sessionUpdate: 'tool_call_update', toolCallId: of.toolCallId, status: 'completed' });
    }
  } else if ('toolCallOf' in step) {
    const content = [{ type: 'content', content: { type: 'text', text: 'c'.repeat(step.toolCallOf) } }];
    update({ sessionUpdate: 'tool_call', toolCallId: 'big', title: 'Big', status: 'completed', content });
  } else if ('planOf' in step) {
    const entries = Array.from({ length: step.planOf }, (_, n) => ({
      content: `Step ${n}`,
      priority: 'low',
      status: 'pending',
    }));
    update({ sessionUpdate: 'plan', entries });
  } else if ('lineOf' in step) process.stdout.write(`${'l'.repeat(step.lineOf)}\n`);
  else return false;
  return true;
}

function fill(file: string): void {
  try {
    for (;;) appendFileSync(file, Buffer.alloc(256 * 1024, 1));
  } catch (error) {
    say(String((error as NodeJS.ErrnoException).code));
  }
}

async function perform(step: Step): Promise<void> {
  if (act(step)) return;
  if ('update' in step) update(step.update, step.sessionId);
  else if ('flood' in step) for (let sent = 0; sent < step.flood; sent += 1) say('x'.repeat(step.characters));
  else if ('raw' in step) process.stdout.write(step.raw);
  else if ('rawBase64' in step) {
    for (const part of step.rawBase64) {
      process.stdout.write(Buffer.from(part, 'base64'));
      await new Promise((resolve) => setTimeout(resolve, 30)); // so that each part is a chunk of its own
    }
  } else if ('stderr' in step) process.stderr.write(step.stderr);
  else if ('edit' in step) await edit(step);
  else if ('run' in step) await run(step);
  else if ('ask' in step) say(JSON.stringify(await ask(step.ask, step.params)));
  else if ('echo' in step) say(JSON.stringify({ env: process.env, received, args: process.argv.slice(2) }[step.echo]));
  else if ('spawn' in step) {
    const [program = '', ...args] = step.spawn;
    const child = spawn(program, args, { detached: step.setsid, stdio: ['ignore', 'inherit', 'inherit'] });
    say(`${child.pid} `);
  } else if ('stop' in step)
    endPrompt({ result: { stopReason: step.stop, ...(step.usage ? { usage: step.usage } : {}) } });
  else if ('error' in step) endPrompt({ error: step.error });
  else if ('exit' in step) process.exit(step.exit);
  else if ('kill' in step) process.kill(process.pid, step.kill);
  else if ('closeStdout' in step) closeSync(1);
  else if ('waitFor' in step) while (!existsSync(step.waitFor)) await new Promise((resolve) => setTimeout(resolve, 20));
  else if ('afterResult' in step) afterResult.push(step.afterResult);
  else if ('once' in step) await performOnce(step);
  else if ('sleepMs' in step) await new Promise((resolve) => setTimeout(resolve, step.sleepMs));
  else await new Promise(() => {});
}

async function edit({ edit: file, content, asks }: Extract<Step, { edit: string }>): Promise<void> {
  const call = { toolCallId: `edit ${file}`, title: `Edit ${file}`, kind: 'edit', locations: [{ path: file }] };
  update({ sessionUpdate: 'tool_call', ...call, status: 'pending' });
  const options = [
    { optionId: 'no', name: 'No', kind: 'reject_once' },
    { optionId: 'yes', name: 'Yes', kind: 'allow_once' },
  ];
  const params = { sessionId: SESSION, toolCall: call, options };
  const answer = asks ? JSON.stringify(await ask('session/request_permission', params)) : '"yes"';
  const allowed = answer.includes('"yes"');
  if (allowed) writeFileSync(file, content);
  update({ sessionUpdate: 'tool_call_update', toolCallId: call.toolCallId, status: allowed ? 'completed' : 'failed' });
}

async function run({ run: script, silent }: Extract<Step, { run: string }>): Promise<void> {
  const call = { toolCallId: 'run', title: `Run ${script}`, kind: 'execute' };
  if (!silent) update({ sessionUpdate: 'tool_call', ...call, status: 'in_progress' });
  const child = spawn('sh', ['-c', script], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  await new Promise((resolve) => child.once('close', resolve));
  const content = [{ type: 'content', content: { type: 'text', text: output } }];
  if (!silent) update({ sessionUpdate: 'tool_call_update', ...call, status: 'completed', content });
}

async function performOnce({ once, do: steps }: Extract<Step, { once: string }>): Promise<void> {
  if (existsSync(once)) return;
  writeFileSync(once, '');
  for (const step of steps) await perform(step);
  await new Promise(() => {});
}

async function prompt(params: { prompt: { text: string }[] }): Promise<void> {
  // A turn that continues has a notice before the task's own words.
  const words = (params.prompt[0]?.text ?? '[]').split('The task was:\n\n').at(-1) ?? '';
  const steps = start.words !== undefined && !words.startsWith('[') ? start.words : (JSON.parse(words) as Step[]);
  for (const step of steps) await perform(step);
}

function initialize(id: unknown): void {
  const how = start.initialize;
  if (how === 'hang') return;
  if (how === 'exit') {
    process.stderr.write('scripted agent: no configuration found\n');
    process.exit(3);
  }
  if (how === 'garbage-first') process.stdout.write('Welcome!\n{"not json\n[1,2]\n"text"\nLoading… ');
  if (typeof how === 'object') return send({ id, ...how });
  const deletes = start.journal === undefined ? {} : { delete: {} };
  const sessionCapabilities = start.resume === undefined ? deletes : { ...deletes, resume: {} };
  const agentCapabilities = { loadSession: start.load !== undefined, sessionCapabilities };
  const authMethods = [{ id: 'browser', name: 'Log in with a browser' }];
  const agentInfo = start.version === undefined ? {} : { agentInfo: { name: 'scripted', version: start.version } };
  send({ id, result: { protocolVersion: 1, agentCapabilities, authMethods, ...agentInfo } });
}

function newSession(id: unknown): void {
  const how = start.newSession;
  for (const one of start.early ?? []) update(one);
  if (how === 'hang') return;
  if (how !== undefined && 'error' in how) return send({ id, ...how });
  send({ id, result: { sessionId: SESSION, ...(how === undefined ? {} : (how.result as object)) } });
}

interface Incoming {
  readonly id?: number;
  readonly method?: string;
  readonly params: { sessionId: string; prompt: { text: string }[]; configId: string; value: unknown };
  readonly result?: unknown;
  readonly error?: unknown;
}

function handle(message: Incoming): void {
  const { id, method, params } = message;
  received.push(method === undefined ? { answerTo: id } : { method, params });
  if (start.journal !== undefined && method !== undefined) appendFileSync(start.journal, `${method}\n`);
  if (method === undefined) return answers.get(id ?? 0)?.(message.error === undefined ? message.result : message);
  switch (method) {
    case 'initialize':
      return initialize(id);
    case 'session/new':
      return newSession(id);
    case 'session/load':
      for (const one of start.load?.replay ?? []) update(one);
      if (start.load?.exit !== undefined) process.exit(start.load.exit);
      if (params.sessionId !== SESSION) return send({ id, error: { code: -32002, message: 'No such session' } });
      return send(
        start.load?.error === undefined ? { id, result: start.load?.result ?? {} } : { id, error: start.load.error },
      );
    case 'session/resume':
      return send(start.resume?.error === undefined ? { id, result: {} } : { id, error: start.resume.error });
    case 'session/delete':
      return send({ id, result: {} });
    case 'session/set_mode':
      return send({ id, ...(start.setMode ?? { result: {} }) });
    case 'session/set_config_option':
      return send({ id, ...(start.setOption ?? { result: { configOptions: [] } }) });
    case 'session/prompt':
      promptId = id;
      return void prompt(params);
    case 'session/cancel':
      if (start.ignoreCancel !== true) endPrompt({ result: { stopReason: 'cancelled' } });
      return;
    default:
      return send({ id, error: { code: -32601, message: 'Method not found' } });
  }
}

if (start.ignoreTerm === true) process.on('SIGTERM', () => {});
const { onTerm } = start;
if (onTerm !== undefined) {
  process.on('SIGTERM', () => {
    writeFileSync(onTerm, 'tidied up');
    process.exit(0);
  });
}
// Something to keep it alive when its stdin is closed.
if (start.ignoreEof === true) setInterval(() => {}, 1_000);
createInterface({ input: process.stdin }).on('line', (line) => handle(JSON.parse(line) as Incoming));
