/**
 * The demo agent: a real ACP program without a model, for first steps with Longhaul and for its tests. Like real agents
 * it stores its sessions, streams text, asks for permission and runs commands. It fails when an instruction requests
 * it.
 */
import { Readable, Writable } from 'node:stream';
import {
  agent,
  ndJsonStream,
  RequestError,
  type AgentContext,
  type SessionConfigOption,
} from '@agentclientprotocol/sdk/unstable';
import { packageVersion } from '../../processes/package-version.ts';
import { promptWithoutNotice } from '../resume.ts';
import { createSession, loadSession, saveSession, type StoredSession } from './session-store.ts';
import { promptTurn } from './turn.ts';

const COMMANDS = [
  ['write', 'write FILE with TEXT'],
  ['append', 'append TEXT to FILE'],
  ['delete', 'delete FILE'],
  ['rename', 'rename FILE to FILE'],
  ['run', 'run PROGRAM ARGUMENTS'],
  ['ask', 'ask before FILE'],
  ['slowly', 'stream what follows over 20 seconds'],
].map(([name = '', description = '']) => ({ name, description }));

const MODES = [
  { id: 'edit', name: 'Edit', description: 'Files are changed and commands are run' },
  { id: 'look', name: 'Look', description: 'Nothing is changed' },
];

const sessions = new Map<string, StoredSession>();
const turns = new Map<string, AbortController>();

function optionsOf({ model, thinking }: StoredSession): SessionConfigOption[] {
  const values = (names: string[]) => names.map((value) => ({ value, name: value }));
  return [
    {
      id: 'model',
      name: 'Voice',
      category: 'model',
      type: 'select',
      currentValue: model,
      options: values(['plain', 'loud']),
    },
    {
      id: 'thinking',
      name: 'Thinking',
      category: 'thought_level',
      type: 'select',
      currentValue: thinking,
      options: values(['off', 'on']),
    },
  ];
}

const settingsOf = (session: StoredSession) => ({
  modes: { currentModeId: session.mode, availableModes: MODES },
  configOptions: optionsOf(session),
});

function known(id: string): StoredSession {
  const session = sessions.get(id);
  if (session === undefined) throw RequestError.sessionNotFound(id);
  return session;
}

function load(id: string, cwd: string): StoredSession {
  const session = loadSession(id, cwd);
  if (session === undefined) throw RequestError.sessionNotFound(id);
  sessions.set(id, session);
  return session;
}

/** Sends the list of commands after the answer to the request, as real agents do. */
function announceCommands(client: AgentContext, sessionId: string): void {
  const update = { sessionUpdate: 'available_commands_update', availableCommands: COMMANDS } as const;
  setImmediate(() => void client.notify('session/update', { sessionId, update }).catch(() => {}));
}

async function replay(client: AgentContext, session: StoredSession): Promise<void> {
  for (const { role, text } of session.history) {
    const sessionUpdate = role === 'user' ? 'user_message_chunk' : 'agent_message_chunk';
    const update = { sessionUpdate, content: { type: 'text', text } } as const;
    await client.notify('session/update', { sessionId: session.id, update });
  }
}

const connection = agent({ name: 'longhaul-demo' })
  .onRequest('initialize', () => ({
    protocolVersion: 1,
    agentInfo: { name: 'longhaul-demo', title: 'Demo agent', version: packageVersion() },
    agentCapabilities: { loadSession: true, sessionCapabilities: { resume: {} } },
  }))
  .onRequest('session/new', ({ params, client }) => {
    const session = createSession(params.cwd);
    sessions.set(session.id, session);
    announceCommands(client, session.id);
    return { sessionId: session.id, ...settingsOf(session) };
  })
  .onRequest('session/load', async ({ params, client }) => {
    const session = load(params.sessionId, params.cwd);
    await replay(client, session);
    announceCommands(client, session.id);
    return settingsOf(session);
  })
  .onRequest('session/resume', ({ params, client }) => {
    const session = load(params.sessionId, params.cwd);
    announceCommands(client, session.id);
    return settingsOf(session);
  })
  .onRequest('session/set_mode', ({ params }) => {
    const session = known(params.sessionId);
    if (!MODES.some(({ id }) => id === params.modeId)) throw RequestError.invalidParams({ modeId: params.modeId });
    session.mode = params.modeId;
    saveSession(session);
  })
  .onRequest('session/set_config_option', ({ params }) => {
    const session = known(params.sessionId);
    const value = String(params.value);
    if (params.configId === 'model') session.model = value;
    else if (params.configId === 'thinking') session.thinking = value;
    else throw RequestError.invalidParams({ configId: params.configId });
    saveSession(session);
    return { configOptions: optionsOf(session) };
  })
  .onRequest('session/prompt', async ({ params, client }) => {
    const session = known(params.sessionId);
    const controller = new AbortController();
    turns.set(session.id, controller);
    const text = params.prompt.map((block) => (block.type === 'text' ? block.text : '')).join('\n');
    const words = promptWithoutNotice(text);
    const interrupted = words !== text;
    return promptTurn({ client, session, text: words, interrupted, signal: controller.signal }).finally(() =>
      turns.delete(session.id),
    );
  })
  .onNotification('session/cancel', ({ params }) => turns.get(params.sessionId)?.abort())
  .connect(ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)));

await connection.closed;
process.exit(0);
