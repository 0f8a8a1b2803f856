/** What the cells of the paths native and pty have in common: the parts that are killed, and how a cell is recorded. */
import { expect } from 'vitest';
import { findMarked } from '../../../agents/process/end.ts';
import { sendSignal } from '../../../processes/end.ts';
import type { TaskId } from '../../../contract/ids.ts';
import type { LabHome } from '../../lab/home.ts';
import type { Victim } from './cell.ts';
import { record } from './results.ts';
import { SEED } from './seed.ts';
import { chosenOf } from './chosen.ts';

const PATH_PARTS = ['worker', 'agent', 'temporal', 'postgres', 'all'] as const;
export type PathVictim = (typeof PATH_PARTS)[number];

export const PATH_VICTIMS = chosenOf(PATH_PARTS);

export const PATH_MOMENTS = ['mid-stream', 'mid-tool'] as const;
export type PathMoment = (typeof PATH_MOMENTS)[number];

/** The agent's process ends with these. */
export const endsAgent = (victim: PathVictim): boolean => ['worker', 'agent', 'all'].includes(victim);

/** As a row of the table. */
export const rowOf = (path: 'native' | 'terminal', moment: PathMoment): string => `${path}: ${moment}`;
export const PATH_ROWS = (['native', 'terminal'] as const).flatMap((path) =>
  PATH_MOMENTS.map((moment) => rowOf(path, moment)),
);

/** Moments of a task whose agent asks a person, for every part. `answered`: no agent has the answer yet. */
export const PROMPT_MOMENTS = ['waiting', 'hibernated', 'answered'] as const;
export type PromptMoment = (typeof PROMPT_MOMENTS)[number];
export const promptRow = (moment: PromptMoment): string => `prompt: ${moment}`;
export const PROMPT_ROWS = PROMPT_MOMENTS.map(promptRow);

/** Of action.test.ts, which has no agent. */
export const ACTION_ROWS = ['apply', 'undo'] as const;

/** By SIGKILL, then everything is brought back. `agentPid`: of the agent's processes the one to kill; default: that of the attempt. */
export async function killPart(
  home: LabHome,
  { victim, task, agentPid }: { readonly victim: Victim; readonly task: TaskId; readonly agentPid?: number },
): Promise<void> {
  if (victim === 'agent') {
    const [row] = await home.seen.sql<{ pid: number }[]>`
      SELECT pid FROM attempts WHERE task_id = ${task} ORDER BY attempt DESC LIMIT 1`;
    const pid = agentPid ?? row?.pid ?? 0;
    expect(findMarked(task).map((process) => process.pid)).toContain(pid);
    sendSignal(pid, 'SIGKILL');
    return;
  }
  await home.kill(victim === 'all' ? 'all' : [victim]);
  await home.revive();
}

export interface PathCell {
  readonly row: string;
  readonly victim: Victim;
  readonly variant: string;
  /** There was no agent to kill. */
  readonly noAgent?: boolean;
  /** Of `performance.now()`. */
  readonly startedAt: number;
}

export async function recordPathCell({ row, victim, variant, startedAt, noAgent = false }: PathCell): Promise<void> {
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  await record({ seed: SEED, moment: row, victim, variant, order: '', seconds, workingMs: null, noAgent });
}
