/** The driver for agents that speak ACP v1 on stdin and stdout. */
import { methods, RequestError } from '@agentclientprotocol/sdk/unstable';
import type { AgentSessionId } from '../../contract/ids.ts';
import { head } from '../../contract/cut-text.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { deferred } from '../../contract/promises.ts';
import { packageVersion } from '../../processes/package-version.ts';
import type {
  AgentDescription,
  AgentDriver,
  AgentSession,
  OpenAgent,
  RunningAgent,
  SessionChoices,
} from '../driver.ts';
import { spawnAgent, type AgentProcess } from '../process/spawn.ts';
import { Conversation } from './conversation.ts';
import { agentErrorText, startFailure, startTimeoutError } from './failures.ts';
import { isObject } from './lines.ts';
import { openLink, type Link } from './link.ts';
import { offersOf } from './offers.ts';
import {
  CHOICES,
  readOptions,
  readSessionSettings,
  type SessionSettings,
  settingFor,
  type Setting,
} from './options.ts';
import { cleanText } from './text.ts';
import { runTurn } from './turn.ts';

const PROTOCOL_VERSION = 1;
/**
 * The method that sets gemini's model. ACP version 1 and the SDK no longer have this method, but gemini has no other.
 */
const SET_MODEL = 'session/set_model';
/**
 * An agent may still send a part of the replay after it has answered session/load. The driver waits for a silence of
 * this length.
 */
const REPLAY_SILENCE_MS = 100;
const REPLAY_LIMIT_MS = 2_000;

type LoadMethod = typeof methods.agent.session.resume | typeof methods.agent.session.load;

interface Introduction {
  /**
   * The methods that the agent offers to continue a session, in order of preference. session/resume precedes
   * session/load, because session/resume replays no history.
   */
  readonly loadMethods: readonly LoadMethod[];
  readonly deletesSessions: boolean;
  readonly about: AgentDescription;
}

const UNKNOWN_AGENT: AgentDescription = { title: '', version: '', images: false, loginMethods: [] };

function readIntroduction(agent: string, response: unknown): Introduction {
  const body = isObject(response) ? response : {};
  if (body['protocolVersion'] !== PROTOCOL_VERSION) {
    const found = JSON.stringify(body['protocolVersion']) ?? 'none';
    throw new LonghaulError(
      'agent_protocol_error',
      `${agent}: expected ACP protocol version ${PROTOCOL_VERSION}, the agent offers ${found}.`,
    );
  }
  const capabilities = isObject(body['agentCapabilities']) ? body['agentCapabilities'] : {};
  const sessions = isObject(capabilities['sessionCapabilities']) ? capabilities['sessionCapabilities'] : {};
  const auth = Array.isArray(body['authMethods']) ? body['authMethods'].filter((one) => isObject(one)) : [];
  const prompts = isObject(capabilities['promptCapabilities']) ? capabilities['promptCapabilities'] : {};
  const info = isObject(body['agentInfo']) ? body['agentInfo'] : {};
  const words = (value: unknown): string => (typeof value === 'string' ? head(cleanText(value), 200) : '');
  const { resume, load } = methods.agent.session;
  return {
    loadMethods: [
      ...(isObject(sessions['resume']) ? [resume] : []),
      ...(capabilities['loadSession'] === true ? [load] : []),
    ],
    deletesSessions: isObject(sessions['delete']),
    about: {
      title: words(info['title']) || words(info['name']),
      version: words(info['version']),
      images: prompts['image'] === true,
      loginMethods: auth.map((one) => cleanText(String(one['name'] ?? one['id']))),
    },
  };
}

/**
 * Removes the choices that the loaded session does not report, because an agent need not report its settings when it
 * loads a session. Without the report there are no ids to set, and the session keeps the settings of an earlier
 * attempt.
 */
function withoutUnreported(choices: SessionChoices, settings: SessionSettings): SessionChoices {
  const offers = offersOf(settings);
  return {
    ...(choices.model !== undefined && offers.model && { model: choices.model }),
    ...(choices.modeId !== undefined && offers.mode && { modeId: choices.modeId }),
    ...(choices.thinkingOptionId !== undefined && offers.thinking && { thinkingOptionId: choices.thinkingOptionId }),
  };
}

function describeSetting(setting: Setting): string {
  switch (setting.kind) {
    case 'mode':
      return `the mode ${setting.modeId}`;
    case 'model':
      return `the model ${setting.modelId}`;
    case 'option':
      return `${setting.configId} = ${setting.value}`;
  }
}

class AcpAgent implements RunningAgent {
  readonly #options: OpenAgent;
  readonly #agent: AgentProcess;
  readonly #link: Link;
  readonly #conversation: Conversation;
  /** The rest of the start timeout, in milliseconds. Only the time in which the driver waits for the agent counts. */
  #startBudgetMs: number;
  #introduction: Introduction = { loadMethods: [], deletesSessions: false, about: UNKNOWN_AGENT };

  constructor(options: OpenAgent, agent: AgentProcess) {
    this.#options = options;
    this.#agent = agent;
    this.#conversation = new Conversation(options);
    this.#link = openLink(options.launch, agent, this.#conversation);
    this.#startBudgetMs = options.timeouts.startMs;
  }

  get process() {
    return this.#agent.identity;
  }

  get about() {
    return this.#introduction.about;
  }

  get resume() {
    if (this.#introduction.loadMethods.length === 0) return undefined;
    return { load: (id: AgentSessionId, choices: SessionChoices) => this.#load(id, choices) };
  }

  get deleteSession() {
    return this.#introduction.deletesSessions ? (id: AgentSessionId) => this.#deleteSession(id) : undefined;
  }

  async initialize(): Promise<void> {
    const { launch } = this.#options;
    const offered = launch.offersFileSystem;
    const response = await this.#startRequest(methods.agent.initialize, {
      protocolVersion: PROTOCOL_VERSION,
      clientInfo: { name: 'longhaul', title: 'Longhaul', version: packageVersion() },
      clientCapabilities: {
        fs: { readTextFile: offered, writeTextFile: offered },
        terminal: false,
        ...(this.#options.offersElicitation === true && { elicitation: { form: {}, url: {} } }),
      },
    }).catch((error: unknown) => this.#startFailed(error));
    this.#introduction = readIntroduction(launch.name, response);
  }

  /** Creates a session. If this fails, the agent is ended, because no turn can run without a session. */
  async newSession(choices: SessionChoices): Promise<AgentSession> {
    try {
      return await this.#newSession(choices);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#conversation.phase = 'over';
    await this.#agent.end();
  }

  get #name(): string {
    return this.#options.launch.name;
  }

  async #newSession(choices: SessionChoices): Promise<AgentSession> {
    this.#conversation.sessionId = undefined;
    // After a load that failed the phase stays `replaying`, so that late updates of the lost session are not emitted.
    const params = { cwd: this.#options.cwd, mcpServers: [] };
    const response = await this.#startRequest(methods.agent.session.new, params).catch((error: unknown) =>
      this.#startFailed(error),
    );
    const id = isObject(response) ? response['sessionId'] : undefined;
    if (typeof id !== 'string' || id === '') {
      throw new LonghaulError('agent_protocol_error', `${this.#name} answered session/new without a session id.`);
    }
    return this.#ready(id as AgentSessionId, response, { choices, loaded: false });
  }

  async #load(id: AgentSessionId, choices: SessionChoices): Promise<AgentSession> {
    this.#conversation.phase = 'replaying';
    const params = { sessionId: id, cwd: this.#options.cwd, mcpServers: [] };
    const failures: string[] = [];
    for (const method of this.#introduction.loadMethods) {
      try {
        const response = await this.#startRequest(method, params);
        if (method === methods.agent.session.load) await this.#link.drain(REPLAY_SILENCE_MS, REPLAY_LIMIT_MS);
        return await this.#ready(id, response, { choices, loaded: true });
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        const failure = startFailure(this.#options.launch, error, this.#introduction.about.loginMethods);
        if (failure.code === 'agent_needs_login') throw failure;
        failures.push(`${method}: ${agentErrorText(error)}`);
      }
    }
    const message = `${this.#name} could not load its session ${id} (${failures.join('; ')}).`;
    throw new LonghaulError('agent_session_lost', message);
  }

  async #deleteSession(id: AgentSessionId): Promise<void> {
    await this.#startRequest(methods.agent.session.delete, { sessionId: id }).catch((error: unknown) => {
      if (!(error instanceof RequestError)) throw error;
      const message = `${this.#name} could not delete its session ${id} (${agentErrorText(error)}).`;
      throw new LonghaulError('agent_session_lost', message);
    });
  }

  async #ready(
    id: AgentSessionId,
    response: unknown,
    { choices, loaded }: { choices: SessionChoices; loaded: boolean },
  ): Promise<AgentSession> {
    const conversation = this.#conversation;
    conversation.sessionId = id;
    conversation.settings = readSessionSettings(response);
    await this.#choose(id, loaded ? withoutUnreported(choices, conversation.settings) : choices);
    return {
      id,
      prompt: (text) => this.#prompt(id, text),
      choose: (more) => this.#choose(id, more),
      offers: () => offersOf(conversation.settings),
    };
  }

  async #choose(id: AgentSessionId, choices: SessionChoices): Promise<void> {
    for (const choice of CHOICES) {
      const wanted = choices[choice];
      const setting = wanted === undefined ? undefined : settingFor(choice, wanted, this.#conversation.settings);
      if (setting !== undefined) await this.#apply(id, setting);
    }
  }

  async #apply(sessionId: AgentSessionId, setting: Setting): Promise<void> {
    const { setMode, setConfigOption } = methods.agent.session;
    const conversation = this.#conversation;
    const { modes, models, options } = conversation.settings;
    const refused = (error: unknown): never => {
      if (!(error instanceof RequestError)) throw error;
      const message = `${this.#name} refused ${describeSetting(setting)}: ${agentErrorText(error)}.`;
      throw new LonghaulError('option_not_available', message);
    };
    if (setting.kind === 'model') {
      const { modelId } = setting;
      await this.#startRequest(SET_MODEL, { sessionId, modelId }).catch(refused);
      conversation.settings = {
        ...conversation.settings,
        models: { available: [], offered: [], ...models, current: modelId },
      };
      return;
    }
    if (setting.kind === 'mode') {
      const { modeId } = setting;
      // The settings have the new mode before the request is sent, so that the agent's update about this mode causes no
      // note.
      conversation.settings = {
        ...conversation.settings,
        modes: { available: [], offered: [], ...modes, current: modeId },
      };
      await this.#startRequest(setMode, { sessionId, modeId }).catch(refused);
      return;
    }
    const { configId, value } = setting;
    const changed = options.map((one) => (one.id === configId ? { ...one, current: String(value) } : one));
    conversation.settings = { ...conversation.settings, options: changed };
    const type = typeof value === 'boolean' ? { type: 'boolean' } : {};
    const response = await this.#startRequest(setConfigOption, { sessionId, configId, ...type, value }).catch(refused);
    const next = readOptions(isObject(response) ? response['configOptions'] : undefined);
    if (next.length > 0) conversation.settings = { ...conversation.settings, options: next };
  }

  async #prompt(sessionId: AgentSessionId, text: string) {
    if (this.#options.signal.aborted) return { kind: 'stopped' } as const;
    if (this.#conversation.phase === 'turn') {
      throw new LonghaulError('internal_error', `${this.#name} got a second prompt while its turn runs.`);
    }
    return runTurn({
      options: this.#options,
      agent: this.#agent,
      link: this.#link,
      conversation: this.#conversation,
      sessionId,
      text,
    });
  }

  /**
   * Converts the agent's error answer to initialize or session/new to a LonghaulError and throws it. Rethrows any other
   * error.
   */
  #startFailed(error: unknown): never {
    if (!(error instanceof RequestError)) throw error;
    throw startFailure(this.#options.launch, error, this.#introduction.about.loginMethods);
  }

  /**
   * Sends a request that precedes the first prompt. The rest of the start timeout limits the request, and a stop ends
   * it.
   */
  async #startRequest(method: string, params: unknown): Promise<unknown> {
    const { signal } = this.#options;
    const begun = performance.now();
    const ended = deferred<never>();
    const onAbort = (): void =>
      ended.reject(new LonghaulError('terminated', `${this.#name} was stopped before its turn began.`));
    const timer = setTimeout(() => {
      ended.reject(startTimeoutError(this.#options, method, this.#link.said()));
    }, this.#startBudgetMs);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    try {
      return await Promise.race([ended.promise, this.#link.request(method, params)]);
    } catch (error) {
      if (error instanceof LonghaulError) await this.#agent.end();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#startBudgetMs -= performance.now() - begun;
    }
  }
}

export const acpDriver: AgentDriver = {
  /**
   * If `signal` aborts before the turn begins, the call fails with `terminated`. An operator's termination has the same
   * code; the caller distinguishes the two by the signal.
   */
  async open(options) {
    const agent = await spawnAgent(options);
    options.onProcess?.(agent);
    try {
      await options.onSpawn(agent.identity);
      const running = new AcpAgent(options, agent);
      await running.initialize();
      return running;
    } catch (error) {
      await agent.end();
      throw error;
    }
  },
};
