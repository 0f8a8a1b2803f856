/**
 * The connection to one agent: our reader in front of the SDK's connection. The reader handles updates one at a time
 * and in order, and it does not read stdout while it handles an update. Requests and answers pass through the SDK.
 */
import {
  client,
  methods,
  RequestError,
  type AnyMessage,
  type ClientConnection,
  type Stream,
} from '@agentclientprotocol/sdk/unstable';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../contract/errors.ts';
import { deferred } from '../../contract/promises.ts';
import type { AgentLaunch } from '../launch/launch.ts';
import type { AgentProcess } from '../process/spawn.ts';
import type { ElicitationAsk, ElicitationDecision } from '../driver.ts';
import { readElicitation } from './elicitation.ts';
import { crashError, outputOutsideProtocol } from './failures.ts';
import type { WorktreeFiles } from './files.ts';
import { isObject, messages, type Garbage, type JsonObject } from './lines.ts';

/**
 * After the agent's output has ended, the link waits this long for the exit code, and then again for the end of stderr.
 * The report of the crash contains both.
 */
const EXIT_DETAILS_MS = 1_000;

export interface LinkHandlers {
  /** Handles the params of a `session/update`. */
  update(params: JsonObject): Promise<void>;
  /** Handles the params of a permission request in order with the updates, before `permission` answers the request. */
  announce(params: JsonObject): Promise<void>;
  /** Returns the id of the chosen option. Returns `undefined` for the outcome `cancelled`. */
  permission(params: JsonObject): Promise<string | undefined>;
  /** Returns the answer to an elicitation. */
  elicit(params: JsonObject, asked: Pick<ElicitationAsk, 'elicitation' | 'hash'>): Promise<ElicitationDecision>;
  readonly files: WorktreeFiles;
  /** Whether the agent has created or loaded a session. The message about the agent's end depends on it. */
  started(): boolean;
}

export interface Link {
  request(method: string, params: unknown): Promise<unknown>;
  notify(method: string, params: unknown): Promise<void>;
  /** Resolves with the reason when no more answers can arrive. */
  readonly failed: Promise<LonghaulError>;
  /** Ends the connection: `failed` resolves with this error. */
  fail(error: LonghaulError): void;
  /** The number of chunks that were read plus the number of updates that were handled. */
  activity(): number;
  /** Whether an update is being handled, so that stdout is not read. */
  busy(): boolean;
  /** Returns what the agent printed outside the protocol, for a message. */
  said(): string;
  /** Waits until the agent has sent nothing for `silenceMs`, but at most `limitMs`. */
  drain(silenceMs: number, limitMs: number): Promise<void>;
}

const asObject = (params: unknown): JsonObject => (isObject(params) ? params : {});

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const optional = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

function connect(stream: Stream, handlers: LinkHandlers): ClientConnection {
  return client({ name: 'longhaul' })
    .onRequest(methods.client.session.requestPermission, asObject, async ({ params }) => {
      const optionId = await handlers.permission(params);
      return { outcome: optionId === undefined ? { outcome: 'cancelled' } : { outcome: 'selected', optionId } };
    })
    .onRequest(methods.client.elicitation.create, asObject, async ({ params }) => {
      const asked = readElicitation(params);
      if (asked.kind === 'refused') throw RequestError.invalidParams({ why: asked.why }, asked.why);
      return handlers.elicit(params, asked);
    })
    .onRequest(methods.client.fs.readTextFile, asObject, async ({ params }) => {
      const range = { line: optional(params['line']), limit: optional(params['limit']) };
      return { content: await handlers.files.read(textOf(params['path']), range) };
    })
    .onRequest(methods.client.fs.writeTextFile, asObject, async ({ params }) => {
      await handlers.files.write(textOf(params['path']), textOf(params['content']));
      return {};
    })
    .connect(stream);
}

/**
 * Writes one message. A failed write is ignored, because the exit or the silence of the agent shows that it no longer
 * reads.
 */
function writeLine(agent: AgentProcess, message: AnyMessage): Promise<void> {
  return new Promise((resolve) => {
    agent.stdin.write(`${JSON.stringify(message)}\n`, () => resolve());
  });
}

async function* counted(stdout: Readable, count: () => void): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stdout as AsyncIterable<Uint8Array>) {
      count();
      yield chunk;
    }
  } catch {
    // The pipe broke, or we closed it, so no more output follows. The exit of the process has the reason.
  }
}

/** Reads all messages in one loop, so that updates that precede an answer are handled before the answer. */
async function pump(source: AsyncIterable<JsonObject>, handlers: LinkHandlers, pass: (message: JsonObject) => void) {
  for await (const message of source) {
    const params = asObject(message['params']);
    if (message['method'] === methods.client.session.update) {
      await handlers.update(params);
      continue;
    }
    if (message['method'] === methods.client.session.requestPermission) await handlers.announce(params);
    pass(message);
  }
}

const asLonghaulError = (error: unknown): LonghaulError =>
  error instanceof LonghaulError ? error : new LonghaulError('internal_error', String(error), { cause: error });

async function endOf(
  launch: AgentLaunch,
  { agent, garbage, started }: { agent: AgentProcess; garbage: Garbage; started: boolean },
): Promise<LonghaulError> {
  const exit = await Promise.race([agent.exited, sleep(EXIT_DETAILS_MS, undefined)]);
  await Promise.race([agent.closed, sleep(EXIT_DETAILS_MS)]);
  return crashError(launch, { exit, said: outputOutsideProtocol(agent.stderrTail(), garbage), started });
}

export function openLink(launch: AgentLaunch, agent: AgentProcess, handlers: LinkHandlers): Link {
  const garbage: Garbage = { lines: [], dropped: 0 };
  let activity = 0;
  let busy = false;
  let fail: (error: LonghaulError) => void = () => {};
  const tracked = async (work: Promise<void>): Promise<void> => {
    busy = true;
    await work.finally(() => {
      busy = false;
      activity += 1;
    });
  };
  /** Fails the turn if a request could not be answered, because the agent would continue as after a refusal. */
  const failTurn = (error: unknown): never => {
    fail(asLonghaulError(error));
    throw error;
  };
  const inOrder: LinkHandlers = {
    files: handlers.files,
    started: () => handlers.started(),
    update: (params) => tracked(handlers.update(params)),
    announce: (params) => tracked(handlers.announce(params)),
    permission: (params) => handlers.permission(params).catch(failTurn),
    elicit: (params, asked) => handlers.elicit(params, asked).catch(failTurn),
  };

  let pass: (message: JsonObject) => void = () => {};
  const readable = new ReadableStream<AnyMessage>({
    start(controller) {
      // The cast is unchecked: `message` is any JSON object, and the SDK checks its shape.
      pass = (message) => controller.enqueue({ ...message, jsonrpc: '2.0' } as AnyMessage);
    },
  });
  const writable = new WritableStream<AnyMessage>({ write: (message) => writeLine(agent, message) });
  const connection = connect({ readable, writable }, inOrder);

  const { promise: failed, resolve: resolveFailed } = deferred<LonghaulError>();
  fail = (error) => {
    resolveFailed(error);
    connection.close(error);
  };
  const source = messages(
    counted(agent.stdout, () => (activity += 1)),
    garbage,
  );
  pump(source, inOrder, pass).then(
    async () => fail(await endOf(launch, { agent, garbage, started: handlers.started() })),
    (error: unknown) => fail(asLonghaulError(error)),
  );

  return {
    async request(method, params) {
      const failure = failed.then((error) => Promise.reject(error));
      const answer = connection.agent.request(method, params).catch((error: unknown) => {
        // The error of a closed connection says only that it is closed. `failed` has the reason.
        if (connection.signal.aborted) return failure;
        throw error;
      });
      return Promise.race([failure, answer]);
    },
    notify: (method, params) => connection.agent.notify(method, params).catch(() => {}),
    failed,
    fail,
    activity: () => activity,
    busy: () => busy,
    said: () => outputOutsideProtocol(agent.stderrTail(), garbage),
    async drain(silenceMs, limitMs) {
      const deadline = performance.now() + limitMs;
      for (let seen = -1; seen !== activity && performance.now() < deadline;) {
        seen = activity;
        await sleep(silenceMs);
        if (busy) seen = -1;
      }
    },
  };
}
