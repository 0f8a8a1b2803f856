import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { MAX_CONTENT_CHARS, MAX_TOOL_CALLS } from '../../frames/fold.ts';
import type { Frame, FrameBody } from '../../contract/frame.ts';
import { SegmentFold } from '../../frames/segments.ts';
import type { ChatId, MessageId, SessionId, TaskId } from '../../contract/ids.ts';
import type { MessageSegment, ToolCall } from '../../contract/vocabulary.ts';

const messageId = randomUUID() as MessageId;
const taskId = randomUUID() as TaskId;
const of = { message_id: messageId, chat_id: randomUUID() as ChatId };
const AT = Date.UTC(2030, 0, 1);

/** A frame each second. */
function folded(bodies: readonly FrameBody[], task: TaskId = taskId): readonly MessageSegment[] {
  const fold = new SegmentFold({ messageId, taskId });
  bodies.forEach((body, index) => {
    const at = new Date(AT + index * 1_000).toISOString();
    fold.add({ ...body, session_id: randomUUID() as SessionId, seq: index + 1, task_id: task, at } satisfies Frame);
  });
  return fold.segments;
}

const delta = (content: string): FrameBody => ({ type: 'delta', ...of, content });
const thought = (content: string): FrameBody => ({ type: 'reasoning_delta', ...of, content });
const tool = (id: string, status: ToolCall['status']): FrameBody => ({
  type: 'tool_call',
  ...of,
  call: { tool_call_id: id, title: `Edit ${id}`, kind: 'edit', status, locations: [], content: [] },
});
const warning: FrameBody = { type: 'warning', message: 'careful' };
const usage: FrameBody = { type: 'usage', usage: {} };
const plan = (content: string): FrameBody => ({ type: 'plan', ...of, entries: [{ content, priority: 'low', status: 'pending' }] }); // prettier-ignore
const shape = (segments: readonly MessageSegment[]): string[] =>
  segments.map((one) => ('text' in one ? `${one.type} ${one.text}` : one.type));

test('segments are in the order in which they began, with their durations', () => {
  const segments = folded([thought('hm'), delta('Wri'), delta('ting'), tool('a', 'pending'), tool('b', 'completed'), tool('a', 'in_progress'), delta('Done'), tool('a', 'failed'), tool('a', 'failed')]); // prettier-ignore
  const at = (seconds: number): string => new Date(AT + seconds * 1_000).toISOString();
  const span = (seq: number, end: number) => ({ seq, at: at(seq - 1), ended_seq: end, ended_at: at(end - 1) });
  expect(segments).toEqual([
    { type: 'reasoning', text: 'hm', ...span(1, 1) },
    { type: 'text', text: 'Writing', ...span(2, 3) },
    { type: 'tool_call', tool_call_id: 'a', title: 'Edit a', ...span(4, 8) },
    { type: 'tool_call', tool_call_id: 'b', title: 'Edit b', ...span(5, 5) },
    { type: 'text', text: 'Done', ...span(7, 7) },
  ]);
});

test('a visible frame between two texts divides them, usage and commands do not', () => {
  expect(shape(folded([delta('a'), usage, delta('b'), warning, delta('c')]))).toEqual(['text ab', 'text c']);
});

test('frames of other messages and other tasks are ignored', () => {
  const others = { ...of, message_id: randomUUID() as MessageId };
  const bodies = [
    { type: 'delta', ...others, content: 'x' },
    { type: 'warning', message: 'y' },
  ] as const;
  expect(folded(bodies, randomUUID() as TaskId)).toEqual([]);
});

test('omitted text is counted in its segment', () => {
  const segments = folded([delta('x'.repeat(MAX_CONTENT_CHARS - 1)), warning, delta('yz'), warning, delta('end')]);
  expect(segments).toMatchObject([
    { type: 'text', seq: 1 },
    { text: 'y', omitted_chars: 1 },
    { text: '', omitted_chars: 3 },
  ]);
  expect(segments[0]).toHaveProperty('text.length', MAX_CONTENT_CHARS - 1);
  expect(segments[0]).not.toHaveProperty('omitted_chars');
});

test('the newest tool calls and plans are kept, and the others counted', () => {
  const calls = Array.from({ length: MAX_TOOL_CALLS + 3 }, (_, index) => tool(String(index), 'completed'));
  const segments = folded([delta('a'), ...calls, delta('b')]);
  expect(segments.slice(0, 3)).toMatchObject([
    { text: 'a' },
    { type: 'omitted', tool_calls: 3, plans: 0, seq: 2 },
    { tool_call_id: '3' },
  ]);
  expect(segments).toHaveLength(MAX_TOOL_CALLS + 3);

  const plans = folded(Array.from({ length: 300 }, (_, index) => plan(`${index}${'x'.repeat(5_000)}`)));
  expect(JSON.stringify(plans).length).toBeLessThan(250_000);
  expect(plans[0]).toMatchObject({ type: 'omitted', tool_calls: 0, plans: 300 - (plans.length - 1) });
  expect(plans.at(-1)).toMatchObject({ type: 'plan', entries: [{ content: expect.stringMatching(/^299/) as string }] });
});

test('an agent that alternates between reasoning and text at each letter has bounded segments and all of its text', () => {
  const segments = folded(Array.from({ length: 20_000 }, () => [delta('a'), thought('b')]).flat());
  expect(segments.length).toBeLessThanOrEqual(5_000);
  const textOf = (type: string) => segments.map((one) => (one.type === type && 'text' in one ? one.text : '')).join('');
  expect(textOf('text')).toBe('a'.repeat(20_000));
  expect(textOf('reasoning')).toBe('b'.repeat(20_000));
});

test('a turn that starts over keeps only its attempts and resets', () => {
  const border: FrameBody = { type: 'task_state', state: 'running', phase: 'starting', attempt: 2, error_code: 'agent_crashed' }; // prettier-ignore
  const reset: FrameBody = { type: 'message_reset', ...of, reason: 'lost' };
  const segments = folded([delta('void'), tool('a', 'pending'), plan('void'), border, border, reset, delta('anew')]);
  expect(segments).toMatchObject([
    { type: 'attempt', attempt: 2, error_code: 'agent_crashed', seq: 4 },
    { type: 'reset', reason: 'lost', seq: 6 },
    { type: 'text', text: 'anew', seq: 7 },
  ]);
});
