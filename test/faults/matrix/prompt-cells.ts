/**
 * Tasks whose agents ask a person, and a part that is killed: while the agent waits, while the task hibernates, and when the
 * answer is stored and no agent has it. One task is allowed, the other one refused. Each is asked once and answered once, and
 * nothing is done that was refused.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerPermission, listPermissions, type Permission } from '../../../client/permissions.ts';
import { findMarked } from '../../../agents/process/end.ts';
import { LonghaulError } from '../../../contract/errors.ts';
import type { TaskId } from '../../../contract/ids.ts';
import { isConnectionLoss } from '../../../store/sql.ts';
import { type LabHome, startHome } from '../../lab/home.ts';
import { VICTIMS } from './cell.ts';
import { chosenOf } from './chosen.ts';
import { killPart, type PromptMoment, promptRow, recordPathCell } from './paths.ts';

const CELLS = chosenOf(VICTIMS);
/** Only ends what hangs. */
const CELL_TIMEOUT_MS = 240_000;

export function testPromptCells(moment: PromptMoment): void {
  let home: LabHome;
  beforeAll(async () => {
    home = await startHome({ env: moment === 'waiting' ? {} : { LONGHAUL_HIBERNATE_AFTER: '1' } });
  }, CELL_TIMEOUT_MS);
  afterAll(() => home.close(), CELL_TIMEOUT_MS);

  test.each(CELLS)(
    `${moment} × %s: asked once, answered once, nothing done that was refused`,
    async (victim) => {
      const startedAt = performance.now();
      const [allowed, refused] = [await asking(home), await asking(home)];
      const requests = [await reached(home, moment, allowed), await reached(home, moment, refused)] as const;
      const answerBoth = async (): Promise<void> => {
        await answer(home, requests[0], 'allow');
        await answer(home, requests[1], 'deny');
      };
      const noAgent = victim === 'agent' && findMarked(allowed).length === 0;
      if (moment === 'answered') {
        const temporal = await home.suspendTemporal(); // the run is not woken before the kill
        await answerBoth();
        if (victim !== 'agent') await home.kill(victim === 'all' ? 'all' : [victim]); // no agent runs
        temporal.resume();
        await home.revive();
      } else {
        if (!noAgent) await killPart(home, { victim, task: allowed });
        await answerBoth();
      }
      await expectOnce(home, { task: allowed, asked: requests[0], chosen: 'o3' });
      await expectOnce(home, { task: refused, asked: requests[1], chosen: 'o2' });
      // Once both have ended: the one that still works has locks.
      for (const task of [allowed, refused]) expect(await home.seen.leftovers(task)).toEqual([]);
      expect(await home.seen.inChange(allowed, 'b.txt')).toBe('b');
      expect((await home.seen.changes(refused))[0]?.diff).not.toContain('b.txt');
      await recordPathCell({ row: promptRow(moment), victim, variant: 'two tasks', startedAt, noAgent });
    },
    CELL_TIMEOUT_MS,
  );
}

const asking = (home: LabHome): Promise<TaskId> =>
  home.seen.submit({ input: 'write a.txt with a. ask before b.txt. write b.txt with b', permissionPolicy: 'ask' });

async function reached({ seen }: LabHome, moment: PromptMoment, task: TaskId): Promise<Permission> {
  const asked = await seen.until('a request', async () => (await listPermissions(seen, { taskId: task, state: 'pending' }))[0]); // prettier-ignore
  const step = moment === 'waiting' ? 'dispatch agent' : 'wait for an answer';
  await seen.until(`the step ${step}`, async () => {
    const status = await seen.statusIfRuns(task);
    return status?.step === step && status.phase === 'waiting_permission';
  });
  return asked;
}

/** The test's own connections may have been cut: then whether the answer was stored is not known, and it is given again. */
async function answer({ seen }: LabHome, { id }: Permission, given: string): Promise<void> {
  await seen.until('the answer to be stored', async () => {
    try {
      return await answerPermission(seen, { id, answer: given, by: 'test' });
    } catch (error) {
      if (isConnectionLoss(error)) return undefined;
      if (error instanceof LonghaulError && error.code === 'permission_answered') return true;
      throw error;
    }
  });
}

interface Asked {
  readonly task: TaskId;
  readonly asked: Permission;
  readonly chosen: string;
}

async function expectOnce({ seen }: LabHome, { task, asked, chosen }: Asked): Promise<void> {
  expect(await seen.ended(task)).toMatchObject({ state: 'completed', error_code: null });
  expect(await listPermissions(seen, { taskId: task })).toMatchObject([{ id: asked.id, state: 'delivered', chosen }]);
  const frames = (await seen.frames(task)).filter(({ type }) => type.startsWith('permission_'));
  expect(frames.map(({ type }) => type)).toEqual(['permission_requested', 'permission_resolved']);
}
