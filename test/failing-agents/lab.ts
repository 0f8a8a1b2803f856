/**
 * What these tests share: a Longhaul with a real worker, and agents that do what a prompt tells them, right or
 * wrong, each listed in `available_agents` by the path of a program of its own.
 */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import type { ScriptedStart, Step } from '../agents/scripted-agent.ts';
import { text } from '../agents/scripts.ts';
import { builtScriptedAgent } from '../lab/built.ts';
import { type Lab, type LabOptions, type LabWorker, startLab } from '../lab/lab.ts';
import type { TaskFacts } from '../lab/observer.ts';

/** What an agent does before it fails: all of it is to be kept. */
export const HALF: readonly Step[] = [{ write: 'half.txt', content: 'half' }, { update: text('half is done') }];

/** For many tasks at once on a machine that others use, too. */
export const WHOLE_MS = 300_000;

/** As a neighbour of failing agents: it works slowly and is to notice nothing. */
const NEIGHBOUR = 'write whole.txt with whole. slowly over 6 seconds. say one two three four five six seven eight';

export class FailingAgents {
  readonly lab: Lab;
  readonly worker: LabWorker;
  #agents = 0;

  constructor(lab: Lab, worker: LabWorker) {
    this.lab = lab;
    this.worker = worker;
  }

  /** Lists an agent: a scripted one that starts so, or a shell script. Answers its name. */
  async agent(how: ScriptedStart | string = {}): Promise<string> {
    const name = `agent-${(this.#agents += 1)}`;
    const file = path.join(this.lab.home, name);
    const quoted = (words: string): string => `'${words.replaceAll("'", String.raw`'\''`)}'`;
    const script = typeof how === 'string' ? how : `exec ${[process.execPath, builtScriptedAgent(), JSON.stringify(how)].map(quoted).join(' ')}`; // prettier-ignore
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
    await this.list(name, file);
    return name;
  }

  async list(name: string, installPath: string): Promise<void> {
    await this.lab.sql`
      INSERT INTO available_agents (name, supports_acp, install_path) VALUES (${name}, true, ${installPath})`;
  }

  async play(how: ScriptedStart | string, steps: readonly Step[], model?: string): Promise<TaskId> {
    return this.lab.submit({ agent: await this.agent(how), input: JSON.stringify(steps), ...(model && { model }) });
  }

  neighbours(count: number): Promise<TaskId[]> {
    return Promise.all(Array.from({ length: count }, () => this.lab.submit({ input: NEIGHBOUR })));
  }

  /** Bounded by the hook that waits. */
  async allEnded(): Promise<void> {
    for (let open = 1; open > 0;) {
      await sleep(100);
      open = (await this.lab.sql`SELECT FROM tasks WHERE ended_at IS NULL`).length;
    }
  }

  async attempts(task: TaskId): Promise<(string | null)[]> {
    const rows = await this.lab.sql<{ error_code: string | null }[]>`
      SELECT error_code FROM attempts WHERE task_id = ${task} ORDER BY attempt`;
    return rows.map((row) => row.error_code);
  }

  /** Seconds from the end of an attempt to the beginning of the next: the pause at least, more on a busy machine. */
  async pauses(task: TaskId): Promise<number[]> {
    const rows = await this.lab.sql<{ s: number }[]>`
      SELECT extract(epoch FROM started_at - lag(ended_at) OVER (ORDER BY attempt))::float8 AS s
        FROM attempts WHERE task_id = ${task} ORDER BY attempt`;
    return rows.slice(1).map(({ s }) => s);
  }

  async content(task: TaskId): Promise<string> {
    return (await this.lab.messages(task)).find(({ role }) => role === 'assistant')?.content ?? '';
  }

  /** Completed with its whole change, at the first attempt, by the worker that was there from the beginning. */
  async expectUndisturbed(task: TaskId): Promise<void> {
    expect(await this.lab.ended(task)).toMatchObject({ state: 'completed', error_code: null });
    expect(await this.attempts(task)).toEqual([null]);
    expect(await this.lab.changes(task)).toMatchObject([{ partial: false }]);
    expect(await this.lab.inChange(task, 'whole.txt')).toBe('whole');
    expect(await this.content(task)).toContain('seven eight');
    expect(await this.lab.leftovers(task)).toEqual([]);
    const alive = await Promise.race([this.worker.exited, Promise.resolve('alive')]);
    expect(alive).toBe('alive');
  }

  /** The longest time between two frames of this task, in milliseconds. */
  async longestSilence(task: TaskId): Promise<number> {
    const [row] = await this.lab.sql<{ ms: number }[]>`
      SELECT coalesce(max(extract(epoch FROM gap) * 1000), 0)::float8 AS ms
        FROM (SELECT at - lag(at) OVER (ORDER BY seq) AS gap FROM frames
               WHERE type = 'delta' AND session_id = (SELECT session_id FROM tasks WHERE id = ${task})) AS gaps`;
    return row?.ms ?? 0;
  }

  /** The most memory that the worker has had, in MB. */
  async peakMemory(): Promise<number> {
    const status = await readFile(`/proc/${this.worker.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}

export async function startFailingAgents(
  options: LabOptions & { readonly env?: NodeJS.ProcessEnv; prepare?(lab: Lab): void } = {},
): Promise<FailingAgents> {
  const lab = await startLab({ slots: 8, ...options });
  options.prepare?.(lab);
  return new FailingAgents(lab, await lab.startWorker(options.env));
}

export interface Expected {
  readonly state: TaskFacts['state'];
  readonly code: string | null;
  readonly says: RegExp;
  readonly attempts: number;
}

/** How the task ended, and that nothing of it is left. */
export async function expectEnd(agents: FailingAgents, task: TaskId, expected: Expected): Promise<void> {
  const { lab } = agents;
  const { state, error_code, output_summary } = await lab.ended(task);
  const attempts = (await agents.attempts(task)).length;
  expect({ state, code: error_code, attempts, summary: output_summary }).toEqual({
    state: expected.state,
    code: expected.code,
    attempts: expected.attempts,
    summary: expect.stringMatching(expected.says) as string,
  });
  expect(await lab.leftovers(task)).toEqual([]);
}

/** What the agent had written and said until it failed is there, marked as partial. */
export async function expectHalf(lab: Lab, task: TaskId): Promise<void> {
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await lab.inChange(task, 'half.txt')).toBe('half');
  const assistant = (await lab.messages(task)).filter(({ role }) => role === 'assistant');
  expect(assistant).toMatchObject([{ status: 'failed', content: expect.stringContaining('half is done') as string }]);
}
