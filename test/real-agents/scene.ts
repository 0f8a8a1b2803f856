/** The stage of one real agent for a suite, with what its tests ask of a task. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import type { ToolCall } from '../../contract/vocabulary.ts';
import { type LabFrame, streamedText } from '../lab/observer.ts';
import type { RealAgent } from './agents.ts';
import type { Reply } from './model-apis.ts';
import { openStage, type Stage } from './stage.ts';

export const say = (text: string): Reply => ({ kind: 'text', text });
export const speaks = (frame: LabFrame): boolean => frame.type === 'delta';

/** Process ids of commands that run, whoever started them. */
function running(command: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const found = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0').join(' ').trim();
      return found === command ? [Number(name)] : [];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}

let seconds = 98_000;
/** A command that no other test runs, in a process group of the tool's and in a session of its own. */
export function longCommand(): { readonly shell: string; running(): number[] } {
  const [one, other] = [`sleep ${(seconds += 1)}.${process.pid}`, `sleep ${(seconds += 1)}.${process.pid}`];
  return { shell: `setsid ${other} & ${one}`, running: () => [one, other].flatMap(running) };
}

export interface Scene {
  readonly agent: RealAgent;
  readonly stage: Stage;
  submit(task?: Partial<Parameters<Stage['lab']['submit']>[0]>): Promise<TaskId>;
  /** SIGKILL to the worker and to the agent, so that neither can tidy up. */
  kill(task: TaskId): Promise<void>;
  toolCalls(task: TaskId): Promise<ToolCall[]>;
  /** What followers have been given of its message. */
  streamed(task: TaskId): Promise<string>;
  /** Messages of its session's warnings. */
  warnings(task: TaskId): Promise<unknown[]>;
  /** After the kill the turn did not go on in the agent's session but from the beginning. */
  startedOver(task: TaskId): Promise<boolean>;
  /** Completed, with one whole message, and nothing left of it anywhere. */
  expectCompleted(task: TaskId, content: string): Promise<void>;
}

export function sceneOf(agent: RealAgent, options: Parameters<typeof openStage>[1] = {}): Scene {
  let killedAt = 0;
  const scene = {
    agent,
    stage: undefined as unknown as Stage,
    submit: (task = {}) => scene.stage.lab.submit({ agent: agent.name, input: 'Do as the model says.', ...task }),
    async kill(task) {
      killedAt = (await scene.stage.lab.frames(task)).length;
      const [attempt] = await scene.stage.lab.sql<{ pid: number }[]>`
        SELECT pid FROM attempts WHERE task_id = ${task} ORDER BY attempt DESC LIMIT 1`;
      scene.stage.worker.kill('SIGKILL');
      process.kill(attempt?.pid ?? Number.NaN, 'SIGKILL');
      await scene.stage.worker.exited;
    },
    async toolCalls(task) {
      const [row] = await scene.stage.lab.sql<{ tool_calls: ToolCall[] }[]>`
        SELECT tool_calls FROM messages WHERE task_id = ${task} AND role = 'assistant'`;
      return row?.tool_calls ?? [];
    },
    async streamed(task) {
      const { lab } = scene.stage;
      const { message_id: id } = await lab.task(task);
      return streamedText((await lab.frames(task)).filter(({ body }) => body['message_id'] === id));
    },
    async warnings(task) {
      const frames = await scene.stage.lab.frames(task);
      return frames.filter(({ type }) => type === 'warning').map(({ body }) => body['message']);
    },
    async startedOver(task) {
      const since = (await scene.stage.lab.frames(task)).slice(killedAt);
      const over = since.some(({ type }) => type === 'message_reset');
      if (agent.alwaysResumes) expect(over).toBe(false);
      return over;
    },
    async expectCompleted(task, content) {
      const { lab } = scene.stage;
      expect(await lab.ended(task)).toMatchObject({ state: 'completed', error_code: null });
      const assistant = (await lab.messages(task)).filter((message) => message.role === 'assistant');
      expect(assistant).toMatchObject([{ role: 'assistant', status: 'complete', content }]);
      expect(await scene.streamed(task)).toBe(content);
      expect(await lab.leftovers(task)).toEqual([]);
    },
  } satisfies Scene as Scene & { stage: Stage };
  beforeAll(async () => {
    scene.stage = await openStage(agent, options);
  });
  beforeEach(() => scene.stage.model.reset());
  afterAll(() => scene.stage.close());
  return scene;
}
