/** The native agent as the driver starts it, with a model server whose answers the test decides. */
import { afterEach, expect } from 'vitest';
import type { AgentSession, OpenAgent, RunningAgent, SessionChoices } from '../../../agents/driver.ts';
import type { AgentLaunch } from '../../../agents/launch/launch.ts';
import { makeNativeLauncher } from '../../../agents/launch/native.ts';
import type { AgentSessionId } from '../../../contract/ids.ts';
import type { ApiName } from '../../lab/model-server/conversations.ts';
import { type Answer, ModelServer } from '../../lab/model-server/model-server.ts';
import { type Lab, makeLab } from '../lab.ts';

interface InSession {
  readonly agent: RunningAgent;
  readonly session: AgentSession;
}

export interface NativeLab extends Lab {
  readonly model: ModelServer;
  readonly sessionsFolder: string;
  readonly launch: AgentLaunch;
  begin(choices?: SessionChoices, options?: Partial<OpenAgent>, env?: NodeJS.ProcessEnv): Promise<InSession>;
  resume(id: AgentSessionId, options?: Partial<OpenAgent>): Promise<InSession>;
  /** Titles, kinds and ends of the tool calls, in order. */
  calls(): { title: string; status: string; output: string }[];
}

const servers: ModelServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    await server.stop();
    expect(server.faults).toEqual([]);
    expect(server.requests.flatMap(({ broken }) => broken)).toEqual([]);
  }
});

export async function nativeLab(
  answer: Answer,
  api: ApiName = 'chat',
  more: readonly string[] = [],
): Promise<NativeLab> {
  const model = await ModelServer.start();
  servers.push(model);
  model.answer = answer;
  const lab = makeLab();
  const sessionsFolder = `${lab.home}/native`;
  const env = { ...process.env, ...model.env(api), HOME: lab.home, XDG_STATE_HOME: undefined };
  const launchWith = (variables: NodeJS.ProcessEnv): AgentLaunch => {
    const launch = makeNativeLauncher({ sessionsFolder })({ path: 'native', env: variables });
    return { ...launch, args: [...launch.args, ...more] };
  };
  return {
    ...lab,
    model,
    sessionsFolder,
    launch: launchWith(env),
    async begin(choices = {}, options = {}, variables = {}) {
      const all = { ...env, ...variables };
      const agent = await lab.open(launchWith(all), { env: all, ...options });
      return { agent, session: await agent.newSession(choices) };
    },
    async resume(id, options = {}) {
      const agent = await lab.open(launchWith(env), { env, ...options });
      const session = await agent.resume?.load(id, {});
      if (!session) throw new Error('the agent cannot load sessions');
      return { agent, session };
    },
    calls() {
      const calls = new Map<string, { title: string; status: string; output: string }>();
      for (const event of lab.events) {
        if (event.kind !== 'tool_call') continue;
        const { tool_call_id: id, title, status, content } = event.call;
        const output = (content ?? []).map((one) => ('text' in one ? one.text : '')).join('');
        calls.set(id, { title, status, output });
      }
      return [...calls.values()];
    },
  };
}
