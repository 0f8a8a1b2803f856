/** Serves ACP for the native agent on a stream. */
import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { agent, RequestError, type AgentContext, type Stream } from '@agentclientprotocol/sdk/unstable';
import { packageVersion } from '../../processes/package-version.ts';
import { promptWithoutNotice } from '../resume.ts';
import { Journal, removeOldJournals } from './journal.ts';
import { offeredModels } from './model-list.ts';
import { Presenter } from './presenter.ts';
import { readModelSettings } from './providers.ts';
import { NativeSession } from './session.ts';
import { promptTurn } from './turn.ts';

/** How long the agent waits for the end of running commands after the client has closed the connection. */
const ENDING_MS = 2_000;

export interface NativeAgentOptions {
  /** The folder of the journals. */
  readonly sessionsFolder: string;
  readonly answersOnly: boolean;
  readonly maxSteps: number;
  readonly env: NodeJS.ProcessEnv;
}

/** Resolves when the client has closed the connection. */
export async function serveNativeAgent(stream: Stream, options: NativeAgentOptions): Promise<void> {
  const { sessionsFolder: folder, answersOnly, maxSteps, env } = options;
  const settings = readModelSettings(env);
  const sessions = new Map<string, NativeSession>();
  const turns = new Map<string, AbortController>();

  const open = async (journal: Journal): Promise<NativeSession> => {
    const models = await offeredModels(settings, folder);
    const session = new NativeSession(journal, { settings, models, answersOnly, maxSteps, env });
    sessions.get(journal.id)?.journal.close();
    sessions.set(journal.id, session);
    return session;
  };
  const load = async ({ sessionId: id, cwd }: { sessionId: string; cwd: string }): Promise<NativeSession> => {
    const journal = turns.has(id) ? undefined : Journal.open(folder, { id, cwd: realOf(cwd) });
    if (journal === undefined) throw RequestError.sessionNotFound(id);
    return open(journal);
  };
  const known = (id: string): NativeSession => {
    const session = sessions.get(id);
    if (session === undefined) throw RequestError.sessionNotFound(id);
    return session;
  };
  const settingsOf = (session: NativeSession) => ({ modes: session.modes, configOptions: session.options });

  const prompt = async (client: AgentContext, id: string, text: string) => {
    const session = known(id);
    if (turns.has(id))
      throw RequestError.invalidRequest({ details: 'expected no running turn in this session, found one' });
    const controller = new AbortController();
    turns.set(id, controller);
    const words = promptWithoutNotice(text);
    const show = new Presenter(client, id);
    try {
      return await promptTurn({ session, show, signal: controller.signal, text: words, interrupted: words !== text });
    } finally {
      turns.delete(id);
    }
  };

  const connection = agent({ name: 'longhaul-native' })
    .onRequest('initialize', () => ({
      protocolVersion: 1,
      agentInfo: { name: 'longhaul-native', title: 'Native agent', version: packageVersion() },
      agentCapabilities: { loadSession: true, sessionCapabilities: { resume: {} } },
    }))
    .onRequest('session/new', async ({ params }) => {
      const session = await open(Journal.create(folder, realOf(params.cwd)));
      setImmediate(() => removeOldJournals(folder));
      return { sessionId: session.journal.id, ...settingsOf(session) };
    })
    .onRequest('session/load', async ({ params, client }) => {
      const session = await load(params);
      await new Presenter(client, params.sessionId).replay(session.journal.records);
      return settingsOf(session);
    })
    .onRequest('session/resume', async ({ params }) => settingsOf(await load(params)))
    .onRequest('session/set_mode', ({ params }) => {
      if (!known(params.sessionId).setMode(params.modeId)) throw RequestError.invalidParams({ modeId: params.modeId });
    })
    .onRequest('session/set_config_option', ({ params }) => {
      const session = known(params.sessionId);
      if (!session.setOption(params.configId, String(params.value))) throw RequestError.invalidParams({ configId: params.configId, value: params.value }); // prettier-ignore
      return { configOptions: session.options };
    })
    .onRequest('session/prompt', ({ params, client }) =>
      prompt(
        client,
        params.sessionId,
        params.prompt.map((block) => (block.type === 'text' ? block.text : '')).join('\n'),
      ),
    )
    .onNotification('session/cancel', ({ params }) =>
      turns.get(params.sessionId)?.abort(new Error('the client cancelled the turn')),
    )
    .connect(stream);

  await connection.closed;
  // The abort ends running commands with their process groups.
  for (const turn of turns.values()) turn.abort(new Error('the client closed the connection'));
  for (let waitedMs = 0; turns.size > 0 && waitedMs < ENDING_MS; waitedMs += 10) await sleep(10);
}

function realOf(cwd: string): string {
  try {
    return realpathSync(cwd);
  } catch {
    throw RequestError.invalidParams({ details: `cwd: expected a folder, found nothing at ${cwd}` });
  }
}
