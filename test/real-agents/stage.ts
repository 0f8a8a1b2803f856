/** A whole Longhaul with one real agent in it, in a home of its own, and the model that it talks to. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { CATALOG } from '../../agents/profiles/catalog.ts';
import { type Lab, type LabWorker, startLab } from '../lab/lab.ts';
import type { RealAgent } from './agents.ts';
import { FakeModel } from './fake-model.ts';
import { cacheDir, commandFolders } from './install.ts';

export interface Stage {
  readonly lab: Lab;
  readonly model: FakeModel;
  /** The agent's HOME. */
  readonly home: string;
  /** The newest one. */
  worker: LabWorker;
  startWorker(env?: Record<string, string>): Promise<LabWorker>;
  close(): Promise<void>;
}

/** Variables of the person who runs the tests that the agent must not see. */
function hidden(agent: RealAgent): Record<string, undefined> {
  const patterns = [...(CATALOG[agent.name]?.envKeys ?? []), 'XDG_*'];
  const names = Object.keys(process.env).filter((name) =>
    patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern)),
  );
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

export async function openStage(agent: RealAgent, { inTerminal = false } = {}): Promise<Stage> {
  const [lab, model] = await Promise.all([startLab(), FakeModel.start()]);
  await lab.sql`
    INSERT INTO available_agents (name, supports_acp) VALUES (${agent.name}, ${!inTerminal}) ON CONFLICT DO NOTHING`;
  const home = path.join(lab.home, 'agent-home');
  mkdirSync(home);
  const environment = {
    ...hidden(agent),
    HOME: home,
    LONGHAUL_CACHE: cacheDir(),
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
    PATH: [...commandFolders(), process.env['PATH']].join(path.delimiter),
    ...agent.env({ modelUrl: model.origin, home }),
    ...(inTerminal ? agent.inTerminal.env({ modelUrl: model.origin, home }) : {}),
  };
  const stage: Stage = {
    lab,
    model,
    home,
    worker: await lab.startWorker(environment),
    async startWorker(env = {}) {
      stage.worker = await lab.startWorker({ ...environment, ...env });
      return stage.worker;
    },
    async close() {
      try {
        await lab.close();
      } finally {
        await model.stop();
      }
    },
  };
  return stage;
}
