/** Any program may write any JSON to a message row. A reader of the snapshot gets well-formed values, and loses no text by it. */
import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { framesOfSnapshot } from '../../cli/snapshot-frames.ts';
import { plainScreen } from '../../cli/plain-screen.ts';
import { Timeline } from '../../cli/timeline.ts';
import { planIn, segmentsIn, toolCallsIn } from '../../frames/message-json.ts';
import { type SnapshotFrame, takeSnapshot } from '../../frames/snapshot.ts';
import type { TaskId } from '../../contract/ids.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession } from '../lab/log.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

interface Columns {
  readonly segments: unknown;
  readonly tool_calls: unknown;
  readonly plan: unknown;
}

/** The snapshot of an ended task whose message row another program has changed. */
async function snapshotOf({
  segments,
  tool_calls,
  plan,
}: Columns): Promise<{ snapshot: SnapshotFrame; taskId: TaskId }> {
  const { sql } = database;
  const message = await labSession(sql);
  await append(sql, message, [delta(message, 'the answer')]);
  const json = (value: unknown) => (value === null ? null : sql.json(value as never));
  await sql`UPDATE messages SET role = 'assistant', task_id = ${message.taskId}, status = 'complete', content = 'the answer',
      segments = ${json(segments)}, tool_calls = ${json(tool_calls)}, plan = ${json(plan)} WHERE id = ${message.messageId}`;
  const snapshot = await takeSnapshot(sql, message.sessionId);
  if (!snapshot) throw new Error('no snapshot');
  return { snapshot, taskId: message.taskId };
}

/** What `longhaul watch` prints of it. */
function watched({ snapshot, taskId }: { snapshot: SnapshotFrame; taskId: TaskId }): string {
  let printed = '';
  const screen = plainScreen({ write: (text) => (printed += text) });
  const timeline = new Timeline({ taskId, screen, since: 0, showsInput: true, verbose: true });
  timeline.catchUp(snapshot, []);
  timeline.end();
  return printed;
}

const none: Columns = { segments: null, tool_calls: null, plan: null };
const AT = '2030-01-01T00:00:00.000Z';

describe('watch shows a row that another program wrote, with its text:', () => {
  test.each<[string, Partial<Columns>]>([
    ['a segment that is null', { segments: [null] }],
    ['a segment with a time that is none', { segments: [{ type: 'text', seq: 5, at: 'x' }] }],
    ['segments that are no list', { segments: { type: 'text' } }],
    ['a call without its lists', { tool_calls: [{ tool_call_id: 'a', title: null, status: 'completed' }] }],
    ['a call that is null', { tool_calls: [null, 5, []] }],
    ['a plan of numbers', { plan: [5, null, { content: 5 }] }],
    ['a plan that is no list', { plan: 'x' }],
    ['a segment of a plan of numbers', { segments: [{ type: 'plan', seq: 1, at: AT, entries: [5] }, { type: 'text', seq: 2, at: AT, ended_seq: 2, ended_at: AT, text: 'the answer' }] }],
  ])('%s', async (_name, columns) => {
    expect(watched(await snapshotOf({ ...none, ...columns }))).toContain('the answer');
  }); // prettier-ignore
});

test('missing fields of a call get defaults, and present ones stay', () => {
  const whole = { tool_call_id: 'a', title: 'Edit', kind: 'edit', status: 'completed', locations: [{ path: 'a.txt', line: 5 }], content: [{ type: 'text', text: 'done' }], raw_output: { a: [1] } }; // prettier-ignore
  expect(toolCallsIn([whole])).toEqual([whole]);
  expect(toolCallsIn([{ ...whole, content: [null, ...whole.content], locations: 5, status: 'x' }, { title: 'no id' }])).toEqual(
    [{ ...whole, locations: [], status: 'failed' }],
  ); // prettier-ignore
});

test('well-formed segments stay as they are; one malformed segment voids the list', () => {
  const good = [
    { type: 'reasoning', seq: 1, at: AT, ended_seq: 2, ended_at: AT, text: 'hm', omitted_chars: 3 },
    { type: 'tool_call', seq: 3, at: AT, tool_call_id: 'a', title: '' },
    { type: 'plan', seq: 4, at: AT, entries: [{ content: 'a', priority: 'low', status: 'completed' }] },
    { type: 'attempt', seq: 5, at: AT, attempt: 2, error_code: 'agent_crashed' },
    { type: 'reset', seq: 6, at: AT, reason: 'x' },
    { type: 'omitted', seq: 7, at: AT, tool_calls: 1, plans: 0 },
  ];
  expect(segmentsIn(good)).toEqual(good);
  expect(segmentsIn([...good, { type: 'text', seq: 8, at: AT }])).toBeNull();
});

test('any JSON becomes values that watch and the timeline can show', () => {
  const odd = fc.oneof(fc.jsonValue(), fc.constantFrom(null, 5, '', 'x', [], {}, [null], AT));
  const near = fc.record(
    {
      type: fc.constantFrom('text', 'reasoning', 'tool_call', 'plan', 'attempt', 'reset', 'omitted', 'other', 'diff'),
      seq: fc.oneof(fc.nat(9), odd),
      at: fc.oneof(fc.constant(AT), odd),
      ended_seq: fc.oneof(fc.nat(9), odd),
      ended_at: fc.oneof(fc.constant(AT), odd),
      text: fc.oneof(fc.string(), odd),
      tool_call_id: fc.oneof(fc.constantFrom('a', 'b'), odd),
      title: fc.oneof(fc.string(), odd),
      kind: fc.oneof(fc.constant('execute'), odd),
      status: fc.oneof(fc.constantFrom('pending', 'completed', 'failed'), odd),
      content: fc.oneof(fc.constant([{ type: 'text', text: 'x' }]), odd),
      entries: odd,
      attempt: fc.oneof(fc.nat(3), odd),
      error_code: odd,
      reason: fc.oneof(fc.string(), odd),
      tool_calls: fc.oneof(fc.nat(3), odd),
      plans: fc.oneof(fc.nat(3), odd),
    },
    { requiredKeys: ['type'] },
  );
  const column = fc.oneof(odd, fc.array(near, { maxLength: 3 }), fc.array(odd, { maxLength: 3 }));
  const whole = [{ type: 'text', seq: 1, at: AT, ended_seq: 2, ended_at: AT, text: 'x' }];
  const taskId = randomUUID() as TaskId;
  let ordered = 0;
  fc.assert(
    fc.property(fc.oneof(column, fc.constant(whole)), column, column, (segments, calls, plan) => {
      const message = {
        ...none,
        role: 'assistant',
        task_id: taskId,
        content: 'the answer',
        reasoning: '',
        created_at: AT,
      };
      const parsed = { segments: segmentsIn(segments), tool_calls: toolCallsIn(calls), plan: planIn(plan) };
      const messages = [{ ...message, ...parsed }];
      const snapshot = {
        type: 'snapshot',
        seq: 9,
        at: AT,
        messages,
        tasks: [],
        permissions: [],
      } as unknown as SnapshotFrame;
      if (parsed.segments?.length) ordered += 1;
      for (const frame of framesOfSnapshot(snapshot, { taskId, remainingFrames: [] })) {
        expect([Number.isSafeInteger(frame.seq), Number.isNaN(Date.parse(frame.at))]).toEqual([true, false]);
      }
      const printed = watched({ snapshot, taskId });
      if (parsed.segments === null) expect(printed).toContain('the answer');
    }),
    { numRuns: 500 },
  );
  expect(ordered).toBeGreaterThan(0);
});
