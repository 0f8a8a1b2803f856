/** A permission request that no user answers in its time, with a real database and the worker's own watch. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Hibernation } from '../../activities/hibernation.ts';
import { permissionAnswers } from '../../activities/permissions.ts';
import { AnswerWatch } from '../../activities/answer-watch.ts';
import type { PermissionDecision } from '../../agents/driver.ts';
import { listPermissions } from '../../frames/permissions.ts';
import type { TurnTask } from '../../store/turn-task.ts';
import type { PermissionOption } from '../../contract/vocabulary.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { labSession } from '../lab/log.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const TOKEN = '00000000-0000-4000-8000-000000000001';
const ALLOW: PermissionOption = { option_id: 'yes', name: 'Yes', kind: 'allow_once' };
const REJECT: PermissionOption = { option_id: 'no', name: 'No', kind: 'reject_once' };

interface Asked {
  readonly decision: PermissionDecision;
  readonly rows: readonly object[];
  readonly frames: readonly object[];
  readonly recorded: readonly unknown[];
}

/** Sends one request of an agent that offers these options; it waits for one second. */
async function expired(options: readonly PermissionOption[], byDefault: 'allow' | 'deny'): Promise<Asked> {
  const { sql } = database;
  const of = await labSession(sql);
  await sql`UPDATE sessions SET writer = ${TOKEN} WHERE id = ${of.sessionId}`;
  const recorded: unknown[] = [];
  const task = {
    id: of.taskId,
    permission_policy: 'ask',
    permission_timeout_s: 1,
    permission_default: byDefault,
    worktree_path: '/tmp/worktrees/none',
    base_commit: 'base',
  } as TurnTask;
  const answer = permissionAnswers({
    deps: { sql, answers: new AnswerWatch(sql), worktreesDir: '/tmp/worktrees' },
    task,
    taken: { kind: 'taken', ...of, token: TOKEN, attempt: 1 } as never,
    stream: { flush: async () => undefined },
    recorder: { record: (event) => void recorded.push(event) },
    signal: new AbortController().signal,
    enter: () => undefined,
    hibernation: new Hibernation({ afterMs: undefined, hibernate: () => undefined }),
  });
  const toolCall = { tool_call_id: 'c', title: 'Remove it', kind: 'execute', status: 'pending', locations: [], content: [] } as const; // prettier-ignore
  const decision = await answer({ toolCall, options, hash: 'h', isCut: false });
  const frames = await sql<object[]>`SELECT type FROM frames WHERE session_id = ${of.sessionId} ORDER BY seq`;
  return {
    decision,
    rows: await listPermissions(sql, { taskId: of.taskId }),
    frames,
    recorded,
  };
}

test('a request that expires where the agent offers no way to refuse is expired at once, not when its task ends', async () => {
  const { decision, rows, frames, recorded } = await expired([ALLOW], 'deny');
  expect(decision).toEqual({ kind: 'cancelled' });
  expect(rows).toMatchObject([{ state: 'expired', chosen: null, answered_by: null, answered_at: null }]);
  expect(frames).toEqual([{ type: 'permission_requested' }, { type: 'permission_resolved' }]);
  expect(recorded).toEqual([{ kind: 'warning', message: 'Not allowed (no answer in time): Remove it' }]);
});

test('a request that expires is answered with its default', async () => {
  const { decision, rows } = await expired([ALLOW, REJECT], 'deny');
  expect(decision).toEqual({ kind: 'selected', optionId: 'no' });
  expect(rows).toMatchObject([{ state: 'expired', chosen: 'no', answered_by: 'timeout' }]);
});

test('a default that another program replaced by an option that the agent does not offer counts as none', async () => {
  const { sql } = database;
  await sql`CREATE FUNCTION lab_other_default() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.default_option := ''other''; RETURN NEW; END'`;
  await sql`CREATE TRIGGER lab_other_default BEFORE INSERT ON permissions FOR EACH ROW EXECUTE FUNCTION lab_other_default()`;
  const { decision, rows } = await expired([ALLOW, REJECT], 'deny');
  expect(decision).toEqual({ kind: 'cancelled' });
  expect(rows).toMatchObject([{ state: 'expired', chosen: null }]);
});
