/** What the driver's tests share: an agent to open, its events recorded, and nothing left afterwards. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect } from 'vitest';
import { acpDriver } from '../../agents/acp/driver.ts';
import { launchAcp } from '../../agents/launch/acp.ts';
import type { AgentLaunch } from '../../agents/launch/launch.ts';
import type {
  AgentEvent,
  AgentSession,
  AgentTimeouts,
  OpenAgent,
  PermissionAsk,
  RunningAgent,
  TurnEnd,
} from '../../agents/driver.ts';
import { decideByPolicy } from '../../agents/permission-policy.ts';
import { findMarked } from '../../agents/process/end.ts';
import type { ProcessIdentity } from '../../processes/identity.ts';
import type { TaskId } from '../../contract/ids.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { builtModule, builtScriptedAgent } from '../lab/built.ts';
import type { ScriptedStart, Step } from './scripted-agent.ts';

export interface Lab {
  readonly taskId: TaskId;
  readonly cwd: string;
  readonly home: string;
  readonly events: AgentEvent[];
  readonly asks: PermissionAsk[];
  readonly spawned: ProcessIdentity[];
  readonly stop: AbortController;
  open(launch: AgentLaunch, options?: Partial<OpenAgent>): Promise<RunningAgent>;
  text(): string;
  until(what: string, condition: () => boolean): Promise<void>;
}

/** Nothing here takes that long. */
export const PATIENT: AgentTimeouts = { startMs: 60_000, stallMs: 60_000, toolMs: 60_000 };

const labs: { lab: Lab; running: RunningAgent[] }[] = [];

afterEach(async () => {
  for (const { lab, running } of labs.splice(0)) {
    for (const agent of running) await agent.close();
    const left = findMarked(lab.taskId);
    rmSync(lab.cwd, { recursive: true, force: true });
    rmSync(lab.home, { recursive: true, force: true });
    expect(left, 'processes left by the test').toEqual([]);
  }
});

export async function until(what: string, condition: () => boolean, boundMs = 60_000): Promise<void> {
  const deadline = performance.now() + boundMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${boundMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function makeLab(): Lab {
  const folder = (): string => realpathSync(mkdtempSync(join(tmpdir(), 'longhaul-agents-')));
  const running: RunningAgent[] = [];
  const taskId = randomUUID() as string as TaskId;
  const lab: Lab = {
    taskId,
    cwd: folder(),
    home: folder(),
    events: [],
    asks: [],
    spawned: [],
    stop: new AbortController(),
    async open(launch, options = {}) {
      const agent = await acpDriver.open({
        taskId,
        cwd: lab.cwd,
        env: { ...process.env, HOME: lab.home, XDG_STATE_HOME: undefined },
        timeouts: PATIENT,
        signal: lab.stop.signal,
        onSpawn: async (identity) => void lab.spawned.push(identity),
        onEvent: (event) => void lab.events.push(event),
        onPermission: async (ask) => {
          lab.asks.push(ask);
          return decideByPolicy('allow', ask);
        },
        ...options,
        launch: fromBuild(options.launch ?? launch),
      });
      running.push(agent);
      return agent;
    },
    text: () => lab.events.map((event) => (event.kind === 'text' ? event.text : '')).join(''),
    until,
  };
  labs.push({ lab, running });
  return lab;
}

export const demoLaunch = (): AgentLaunch => launchAcp({ path: 'acp', agent: { name: 'demo' }, env: process.env });

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Our own programs start from the run's build, as users have them, and in a third of the time that tsx needs. */
function fromBuild(launch: AgentLaunch): AgentLaunch {
  const at = launch.args.findIndex((arg) => arg.startsWith(ROOT) && arg.endsWith('.ts'));
  if (at < 0) return launch;
  const name = relative(ROOT, launch.args[at] ?? '').replace(/\.ts$/, '');
  return { ...launch, args: [builtModule(name), ...launch.args.slice(at + 1)] };
}

export function scriptedLaunch(start: ScriptedStart = {}, rest: Partial<AgentLaunch> = {}): AgentLaunch {
  const args = [builtScriptedAgent(), JSON.stringify(start)];
  return { ...demoLaunch(), name: 'scripted', args, ...rest };
}

/** Opens a scripted agent and runs one turn of these steps. */
export async function scriptedSession(
  lab: Lab,
  start: ScriptedStart = {},
  options: Partial<OpenAgent> = {},
): Promise<{ agent: RunningAgent; session: AgentSession; play: (...steps: Step[]) => Promise<TurnEnd> }> {
  const agent = await lab.open(options.launch ?? scriptedLaunch(start), options);
  const session = await agent.newSession({});
  return { agent, session, play: (...steps) => session.prompt(JSON.stringify(steps)) };
}

/** The LonghaulError that this fails with. */
export async function failure(promise: Promise<unknown>): Promise<LonghaulError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof LonghaulError) return error;
    throw error;
  }
  throw new Error('expected it to fail, but it did not');
}
