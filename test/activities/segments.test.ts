/** What a reader of the log saw of a message, in its order, is what a snapshot says of it once the log was compacted. */
import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeFinishTask } from '../../activities/finish-task.ts';
import { keepMessage } from '../../activities/keep-message.ts';
import { TurnRecorder } from '../../activities/recorder.ts';
import type { StepDeps } from '../../activities/step.ts';
import type { AgentEvent } from '../../agents/driver.ts';
import { plainScreen } from '../../cli/plain-screen.ts';
import { Timeline } from '../../cli/timeline.ts';
import { framesOutsideMessages } from '../../client/follow-task.ts';
import { compactFrames } from '../../frames/compact.ts';
import { type FollowedFrame, FrameHub } from '../../frames/follow.ts';
import { foldMessage } from '../../frames/read-message.ts';
import { SegmentFold } from '../../frames/segments.ts';
import type { SnapshotMessage } from '../../frames/snapshot-messages.ts';
import { FrameWriter } from '../../frames/writer.ts';
import type { Sql } from '../../store/sql.ts';
import type { ToolCall } from '../../contract/vocabulary.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, labSession, type LabMessage } from '../lab/log.ts';
import { streamOf, takeLabTurn } from '../lab/turn.ts';

let database: LabDatabase;
let sql: Sql;
let hub: FrameHub;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  hub = new FrameHub(sql);
});
afterAll(async () => {
  await hub.close();
  await database.drop();
});

/** What happens in an attempt, in its order. `beside`: a warning of another step. */
type Happening =
  AgentEvent | { readonly kind: 'beside' } | { readonly kind: 'flush' } | { readonly kind: 'start over' };

const words = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('Hello', ' world', '.\n', '\n\n', '😀', '- one\n- two') },
  { weight: 1, arbitrary: fc.constant('x'.repeat(30_000)) },
);
const entry = fc.record({
  content: fc.constantFrom('one', 'two', 'three'),
  priority: fc.constant('low'),
  status: fc.constantFrom('pending', 'in_progress', 'completed'),
});
/** An agent's calls begin, continue and end once; an attempt that is lost leaves them open. */
const calls = fc.tuple(fc.uuid(), fc.constantFrom('execute', 'edit'), fc.boolean()).map(([id, kind, ends]) => {
  const call = (status: ToolCall['status'], title: string): AgentEvent => ({
    kind: 'tool_call',
    call: { tool_call_id: id, title, kind, status, locations: [], content: [{ type: 'text', text: `${title} ${id}` }] },
  });
  const begun = [call('pending', 'begins'), call('in_progress', 'continues')];
  return ends ? [...begun, call('completed', 'ended')] : begun;
});
const happenings = fc.oneof(
  { weight: 5, arbitrary: words.map((text): Happening[] => [{ kind: 'text', text }]) },
  { weight: 2, arbitrary: words.map((text): Happening[] => [{ kind: 'reasoning', text }]) },
  { weight: 4, arbitrary: calls },
  {
    weight: 1,
    arbitrary: fc.array(entry, { maxLength: 4 }).map((entries): Happening[] => [{ kind: 'plan', entries }]),
  },
  { weight: 1, arbitrary: fc.constant<Happening[]>([{ kind: 'usage', usage: { total_tokens: 3 } }]) },
  { weight: 2, arbitrary: fc.constant<Happening[]>([{ kind: 'beside' }]) },
  { weight: 2, arbitrary: fc.constant<Happening[]>([{ kind: 'flush' }]) },
);
/** Two things at once: a second call begins, or text comes, before the first has ended. */
const attempt = fc
  .array(happenings, { maxLength: 8 })
  .chain((parts) => fc.tuple(fc.constant(parts), fc.infiniteStream(fc.nat(2))))
  .map(([parts, choices]) => interleaved(parts, () => choices.next().value ?? 0));

function interleaved(parts: readonly Happening[][], choose: () => number): Happening[] {
  const open = parts.map((part) => [...part]);
  const all: Happening[] = [];
  while (open.length > 0) {
    const index = Math.min(choose(), open.length - 1);
    const next = open[index]?.shift();
    if (next) all.push(next);
    if (open[index]?.length === 0) open.splice(index, 1);
  }
  return all;
}

const turns = fc.record({
  attempts: fc.array(attempt, { minLength: 1, maxLength: 4 }),
  /** Its last attempt is lost, too, and the closing steps finish the message. */
  lost: fc.boolean(),
  cursors: fc.array(fc.nat(1_000), { minLength: 3, maxLength: 3 }),
});

const of = ({ messageId, chatId }: LabMessage) => ({ message_id: messageId, chat_id: chatId });

/** As the dispatch step does. */
async function play(message: LabMessage, { attempts, lost }: { attempts: readonly Happening[][]; lost: boolean }) {
  const { sessionId, messageId, taskId } = message;
  await sql`UPDATE tasks SET message_id = ${messageId} WHERE id = ${taskId}`;
  await append(sql, message, [{ type: 'message_started', ...of(message), role: 'assistant' }]);
  for (const [index, attempt] of attempts.entries()) {
    const taken = await takeLabTurn(sql, message, index + 1);
    const stream = streamOf(new FrameWriter(sql), message, taken);
    const view = index > 0 ? await foldMessage(sql, message) : undefined;
    const recorder = new TurnRecorder(of(message), (frame) => stream.append(frame), view);
    const why = index > 0 ? { error_code: 'worker_lost' as const } : {};
    stream.append({ type: 'task_state', state: 'running', phase: 'starting', attempt: index + 1, ...why });
    recorder.closeDangling();
    for (const happening of attempt) {
      if (happening.kind === 'start over') recorder.startOver('lost');
      else if (happening.kind === 'flush') await stream.flush();
      else if (happening.kind === 'beside') await append(sql, message, [{ type: 'warning', message: 'careful' }]);
      else recorder.record(happening);
    }
    if (index === attempts.length - 1 && !lost) {
      recorder.closeDangling();
      await stream.commit([{ type: 'message_complete', ...of(message), status: 'complete' }], (tx) =>
        keepMessage(tx, { sessionId, messageId, status: 'complete', recorder, tokensUsed: undefined }),
      );
    } else await stream.flush();
    stream.close();
  }
  await makeFinishTask({ sql } as StepDeps)({ taskId, end: { state: 'failed', code: 'terminated', message: 'over' } });
}

/** All that the log has, or a snapshot and what is above it. */
async function read(message: LabMessage, after: number): Promise<FollowedFrame[]> {
  const [row] = await sql<{ seq: number }[]>`SELECT seq FROM sessions WHERE id = ${message.sessionId}`;
  const frames: FollowedFrame[] = [];
  const stop = new AbortController();
  if (after < (row?.seq ?? 0))
    for await (const page of hub.follow({ sessionId: message.sessionId, after, signal: stop.signal })) {
      frames.push(...page);
      if ((frames.at(-1)?.seq ?? 0) >= (row?.seq ?? 0)) break;
    }
  return frames;
}

async function compact({ sessionId }: LabMessage): Promise<void> {
  await sql`UPDATE frames SET at = at - interval '1 hour' WHERE session_id = ${sessionId}`;
  await sql`UPDATE messages SET finished_at = finished_at - interval '1 hour' WHERE session_id = ${sessionId}`;
  await compactFrames(sql);
  // What compaction left, such as all of a turn without a word, has the times that its readers saw.
  await sql`UPDATE frames SET at = at + interval '1 hour' WHERE session_id = ${sessionId}`;
}

type Held = Pick<SnapshotMessage, 'segments' | 'content' | 'reasoning' | 'tool_calls' | 'plan'>;

/** What a reader holds in the end. */
function held(message: LabMessage, frames: readonly FollowedFrame[]): Held {
  let fold = new SegmentFold(message);
  let snapshot: SnapshotMessage | undefined;
  for (const frame of frames) {
    if (frame.type !== 'snapshot') fold.add(frame);
    else {
      snapshot = frame.messages.find(({ message_id }) => message_id === message.messageId);
      fold = new SegmentFold(message);
    }
  }
  if (snapshot) {
    const { segments, content, reasoning, tool_calls, plan } = snapshot;
    return { segments, content, reasoning, tool_calls, plan };
  }
  const { content, reasoning, toolCalls, plan = null } = fold.view;
  return { segments: fold.segments, content, reasoning, tool_calls: [...toolCalls.values()], plan };
}

/** `longhaul watch`, into a pipe. */
async function watched({ taskId }: LabMessage, frames: readonly FollowedFrame[]): Promise<string> {
  let written = '';
  const screen = plainScreen({ write: (text) => (written += text) });
  const timeline = new Timeline({ taskId, screen, since: 0, showsInput: true });
  for (const frame of frames) {
    if (frame.type === 'snapshot') timeline.catchUp(frame, await framesOutsideMessages(sql, taskId, frame));
    else timeline.show(frame);
  }
  timeline.end();
  return written;
}

test('in any turn, a reader that connects at any moment ends with the same content as one that followed from the beginning', async () => {
  await fc.assert(
    fc.asyncProperty(turns, async ({ cursors, ...turn }) => {
      const message = await labSession(sql);
      await play(message, turn);
      const all = await read(message, 0);
      const live = held(message, all);
      const story = await watched(message, all);
      const isWhole = !live.segments?.some((segment) => 'omitted_chars' in segment);
      await compact(message);
      for (const cursor of [0, ...cursors.map((one) => one % (all.length + 1))]) {
        const frames = [...all.slice(0, cursor), ...(await read(message, cursor))];
        expect(held(message, frames)).toEqual(live);
        if (isWhole) expect(await watched(message, frames)).toBe(story);
      }
      const texts = live.segments?.map((segment) => (segment.type === 'text' ? segment.text : '')) ?? [];
      expect(texts.join('') === live.content).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('a turn that starts over leaves a reset with its reason, in the row and in the log', async () => {
  const message = await labSession(sql);
  const attempts: Happening[][] = [
    [{ kind: 'text', text: 'void' }],
    [{ kind: 'start over' }, { kind: 'text', text: 'anew' }],
  ];
  await play(message, { attempts, lost: true });
  const live = held(message, await read(message, 0));
  await compact(message);
  const frames = await read(message, 0);
  expect(held(message, frames)).toEqual(live);
  expect(live.segments).toMatchObject([
    { type: 'attempt', attempt: 2, error_code: 'worker_lost' },
    { type: 'reset', reason: 'lost' },
    { type: 'text', text: 'anew' },
  ]);
  expect((await watched(message, frames)).split('\n')).toEqual([
    '↺ attempt 2: the worker was stopped or lost',
    '↺ starting over: lost',
    'anew',
    '',
  ]);
});

test('a tool call that a lost turn left open ends in the log, too', async () => {
  const message = await labSession(sql);
  const call = { tool_call_id: 't', title: 'Build', kind: 'execute', status: 'in_progress', locations: [], content: [] } as const; // prettier-ignore
  await play(message, { attempts: [[{ kind: 'tool_call', call }]], lost: true });
  const frames = await read(message, 0);
  expect(frames.findLast(({ type }) => type === 'tool_call')).toMatchObject({ call: { ...call, status: 'failed' } });
  expect(held(message, frames).segments).toMatchObject([{ type: 'tool_call', title: 'Build', ended_seq: 4 }]);
  expect(await watched(message, frames)).toMatch(/✗ Build {2}\d/);
});

test('a message that was finished before segments were kept is still shown', async () => {
  const message = await labSession(sql);
  await play(message, { attempts: [[{ kind: 'text', text: 'words' }, { kind: 'beside' }]], lost: false });
  await sql`UPDATE messages SET segments = NULL WHERE id = ${message.messageId}`;
  await sql`
    INSERT INTO messages (id, session_id, chat_id, task_id, role, content, status, created_at)
    VALUES (${randomUUID()}, ${message.sessionId}, ${message.chatId}, ${message.taskId}, 'user', 'please', 'complete', now() - interval '1 h')`;
  await compact(message);
  const frames = await read(message, 0);
  expect(held(message, frames).segments).toBeNull();
  expect((await watched(message, frames)).split('\n')).toEqual(['> please', 'words', '! careful', '']);
});
