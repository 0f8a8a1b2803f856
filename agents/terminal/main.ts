/**
 * The terminal adapter: a program that speaks ACP and runs a command-line agent in a pseudo-terminal, with one process
 * for each turn. Its only argument names the agent (launch.ts). It loads the modules of the pseudo-terminal and the
 * screen after the session was created, because the session is then ready sooner.
 */
import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { agent, ndJsonStream, RequestError } from '@agentclientprotocol/sdk/unstable';
import { packageVersion } from '../../processes/package-version.ts';
import { optionsOf, choose } from './choices.ts';
import { readLaunch } from './launch.ts';
import { terminalProfile } from './profiles/known.ts';
import { withSettings } from './profiles/with-settings.ts';
import { sessionStore, type StoredSession } from './session-store.ts';
import type { TerminalTurn } from './turn.ts';

const launch = readLaunch(process.argv[2]);
const profile = withSettings(terminalProfile(launch.profile ?? launch.agent), launch);
const { env } = process;
const store = sessionStore(env);
const sessions = new Map<string, StoredSession>();
const turns = new Map<string, TerminalTurn>();
const loadTurn = () => import('./turn.ts');

function known(id: string): StoredSession {
  const session = sessions.get(id);
  if (session === undefined) throw RequestError.sessionNotFound(id);
  return session;
}

/** Registers the session and loads the turn's modules in advance, so that the first turn begins without delay. */
function prepare(session: StoredSession): { configOptions: ReturnType<typeof optionsOf> } {
  sessions.set(session.id, session);
  setImmediate(() => void loadTurn().catch(() => {})); // the prompt reports a failure
  return { configOptions: optionsOf(profile, session) };
}

const connection = agent({ name: 'longhaul-terminal' })
  .onRequest('initialize', () => ({
    protocolVersion: 1,
    agentInfo: { name: 'longhaul-terminal', title: `${launch.agent} in a terminal`, version: packageVersion() },
    agentCapabilities: profile.resume ? { sessionCapabilities: { resume: {} } } : {},
  }))
  .onRequest('session/new', ({ params }) => {
    const session = store.create(launch.agent, params.cwd);
    return { sessionId: session.id, ...prepare(session) };
  })
  .onRequest('session/resume', ({ params }) => {
    const session = profile.resume && store.load(params.sessionId, { agent: launch.agent, cwd: params.cwd });
    // A session cannot be resumed if the agent has not begun a conversation in it.
    if (!session?.conversation?.begun) throw RequestError.sessionNotFound(params.sessionId);
    return prepare(session);
  })
  .onRequest('session/set_config_option', ({ params }) => {
    const session = known(params.sessionId);
    choose(profile, session, { id: params.configId, value: String(params.value) });
    store.save(session);
    return { configOptions: optionsOf(profile, session) };
  })
  .onRequest('session/prompt', async ({ params, client }) => {
    const session = known(params.sessionId);
    if (turns.has(session.id))
      throw RequestError.invalidRequest(undefined, 'expected no running turn in this session, found one');
    const text = params.prompt.map((block) => (block.type === 'text' ? block.text : '')).join('\n');
    const { startTerminalTurn } = await loadTurn();
    const turn = startTerminalTurn({ client, session, store, profile, launch, env, text });
    turns.set(session.id, turn);
    return turn.result.finally(() => turns.delete(session.id));
  })
  .onRequest('_longhaul/terminal/resize', readResize, async ({ params: { sessionId, ...size } }) => {
    await turns.get(sessionId)?.resize(size);
    return {};
  })
  .onNotification('session/cancel', ({ params }) => turns.get(params.sessionId)?.cancel())
  .connect(ndJsonStream(Writable.toWeb(output()), Readable.toWeb(process.stdin)));

await connection.closed;
// The client has closed the connection, so its turns are cancelled.
await Promise.all([...turns.values()].map((turn) => turn.cancel()));
process.exit(0);

/**
 * Returns the stream to the client. process.stdout writes to a pipe synchronously, so a client that reads slowly would
 * block this process, which must continue to read the terminal.
 */
function output(): Writable {
  return fstatSync(1).isFIFO() || fstatSync(1).isSocket()
    ? new Socket({ fd: 1, readable: false, writable: true })
    : process.stdout;
}

function readResize(params: unknown): { sessionId: string; cols: number; rows: number } {
  const { sessionId, cols, rows } = (params ?? {}) as Record<string, unknown>;
  const isSize = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) > 0 && Number(value) <= 1_000;
  if (typeof sessionId === 'string' && isSize(cols) && isSize(rows)) return { sessionId, cols, rows };
  throw RequestError.invalidParams({ expected: 'sessionId, cols and rows (1 to 1000)' });
}
