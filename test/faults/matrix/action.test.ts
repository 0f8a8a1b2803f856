/**
 * An apply and an undo are held at a moment, a part is killed, and everything is brought back. The request, sent again,
 * is carried out once: the files have the whole change, or are as before, and `.git` is as it was.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { actOnChange, changeActions } from '../../../client/change-actions.ts';
import type { ChangeId, TaskId } from '../../../contract/ids.ts';
import { serviceFailure } from '../../../client/outage.ts';
import { holdStatement, type Statement } from '../../lab/holds.ts';
import { type LabHome, startHome } from '../../lab/home.ts';
import { treeOf } from '../../lab/repositories.ts';
import { chosenOf } from './chosen.ts';
import { ACTION_ROWS, recordPathCell } from './paths.ts';

const PARTS = ['worker', 'backend', 'temporal', 'postgres', 'supervisor', 'all'] as const;
const VICTIMS = chosenOf(PARTS);
/** Only ends what hangs. */
const CELL_TIMEOUT_MS = 240_000;

const on = (state: string): Statement => ({ on: 'change_actions', event: 'UPDATE', when: `NEW.state = '${state}'` });
/** The moments of an action: no file is written before its journal is stored, all are written before it is done. */
const MOMENTS = { 'the journal is being stored': on('writing'), 'the files are written': on('done') } as const;
const CELLS = ACTION_ROWS.flatMap((kind) =>
  Object.keys(MOMENTS).flatMap((moment) => VICTIMS.map((victim) => [kind, moment, victim] as const)),
);

let home: LabHome;
let changeId: ChangeId;
let task: TaskId;
beforeAll(async () => {
  home = await startHome();
  task = await home.seen.submit({ input: 'write new.txt with hello. append one more line to README.md' });
  await home.seen.ended(task);
  changeId = (await home.seen.changes(task))[0]?.id as ChangeId;
}, CELL_TIMEOUT_MS);
afterAll(() => home.close(), CELL_TIMEOUT_MS);

const deps = () => ({ sql: home.seen.sql, temporal: home.seen.client });
const files = (): Promise<Record<string, string>> => treeOf(home.repository.path);
const git = (): Promise<Record<string, string>> => treeOf(`${home.repository.path}/.git`);

test.each(CELLS)(
  '%s, while %s × %s: carried out once',
  async (kind, moment, victim) => {
    const startedAt = performance.now();
    // The other action leads to the state from which this one starts.
    if (kind === 'undo') await carriedOut('apply');
    const [before, gitBefore] = [await files(), await git()];
    const held = await holdStatement(home.databaseUrl, MOMENTS[moment as keyof typeof MOMENTS]);
    const request = actOnChange(deps(), { changeId, kind, by: 'test' }).catch(() => undefined);
    await home.seen.until('the action to be held', async () => (await held.waiting()) > 0);
    await home.kill(victim === 'all' ? 'all' : [victim]);
    await Promise.all([held.release(), home.revive()]);
    await request;
    await carriedOut(kind);
    const after = await files();
    expect(Object.keys(after).filter((name) => name.includes('.longhaul-'))).toEqual([]);
    expect(after['new.txt'] === undefined).toBe(kind === 'undo');
    expect(await git()).toEqual(gitBefore);
    if (kind === 'apply') await carriedOut('undo');
    else await expectWhole(before, after);
    const actions = await changeActions(home.seen, changeId);
    expect(actions.map((one) => one.state)).toEqual(actions.map(() => 'done'));
    expect(actions.map((one) => one.kind)).toEqual(actions.map((_, at) => (at % 2 === 0 ? 'apply' : 'undo')));
    const frames = await home.seen.sql`SELECT FROM frames WHERE type = 'change_state' AND task_id = ${task}`;
    expect(frames).toHaveLength(actions.length);
    await recordPathCell({ row: kind, victim, variant: moment, startedAt });
  },
  CELL_TIMEOUT_MS,
);

/** The README of the sample is as it was, and the new file is not there. */
async function expectWhole(applied: Record<string, string>, after: Record<string, string>): Promise<void> {
  const { 'new.txt': made, ...rest } = applied;
  expect(made).toBeDefined();
  expect(Object.keys(after)).toEqual(Object.keys(rest));
  expect(await home.repository.git('status', '--porcelain')).toBe('');
}

/** Sends the request until its effect is there. Then it is refused, because the change is in the wanted state. */
async function carriedOut(kind: 'apply' | 'undo'): Promise<void> {
  const wanted = kind === 'apply' ? 'applied' : 'undone';
  await home.seen.until(`the change to be ${wanted}`, async () => {
    try {
      const [row] = await home.seen.sql<{ state: string }[]>`SELECT state FROM pending_changes WHERE id = ${changeId}`;
      if (row?.state === wanted) return true;
      await actOnChange(deps(), { changeId, kind, by: 'test' });
      return true;
    } catch (error) {
      // The connections of the test are cut, too; and the former request may be carried out after the state was read.
      const code = serviceFailure(error)?.code;
      if (code === 'service_unreachable' || code === 'change_decided') return false;
      throw error;
    }
  });
}
