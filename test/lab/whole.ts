/** What must be true of a task whatever was broken while it ran: its work once, all of it, and nothing left behind. */
import { expect } from 'vitest';
import type { TaskId } from '../../workflows/contract.ts';
import { type Observer, streamedText } from './observer.ts';

export interface Whole {
  /** Of its change, by path. */
  readonly files: Readonly<Record<string, string>>;
  readonly state?: 'completed' | 'failed' | 'cancelled';
  readonly code?: string;
  /** The turn had come to its end before the task was stopped: it counts as whole, or not. */
  readonly turnEnded?: boolean;
}

/** Of an ended task, while no other one runs (its locks would be taken for this one's). */
export async function expectWhole(seen: Observer, task: TaskId, whole: Whole): Promise<void> {
  const { files, state = 'completed', code, turnEnded = state === 'completed' } = whole;
  expect(await seen.ended(task)).toMatchObject({ state, error_code: code ?? null });
  const names = Object.keys(files).sort();
  const changes = await seen.changes(task);
  expect(changes).toHaveLength(names.length === 0 ? 0 : 1);
  if (state === 'completed' || !turnEnded) for (const { partial } of changes) expect(partial).toBe(!turnEnded);
  for (const { base_commit, result_commit } of changes) {
    const changed = await seen.repository.git('diff', '--name-only', base_commit, result_commit);
    expect(changed.split('\n')).toEqual(names);
  }
  for (const [name, content] of Object.entries(files)) expect(await seen.inChange(task, name)).toBe(content);
  const assistant = (await seen.messages(task)).filter((message) => message.role === 'assistant');
  expect(assistant).toMatchObject([{ status: turnEnded ? 'complete' : state }]);
  expect(assistant[0]?.content).toBe(streamedText(await seen.frames(task)));
  expect(await seen.leftovers(task)).toEqual([]);
}

/** Each attempt at a turn with its agent. */
export async function attemptsOf(
  { sql }: Observer,
  task: TaskId,
): Promise<{ attempt: number; pid: number | null; error_code: string | null }[]> {
  return [
    ...(await sql<{ attempt: number; pid: number | null; error_code: string | null }[]>`
      SELECT attempt, pid, error_code FROM attempts WHERE task_id = ${task} ORDER BY attempt`),
  ];
}
