import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { TurnRecorder } from '../../activities/recorder.ts';
import type { AgentEvent } from '../../agents/driver.ts';
import {
  emptyMessage,
  foldFrame,
  MAX_CONTENT_CHARS,
  MAX_REASONING_CHARS,
  type MessageView,
} from '../../frames/fold.ts';
import type { FrameBody } from '../../contract/frame.ts';
import { storedBody } from '../../store/stored-body.ts';
import type { ChatId, MessageId } from '../../contract/ids.ts';
import type { ToolCall } from '../../contract/vocabulary.ts';

const OF = { message_id: randomUUID() as MessageId, chat_id: randomUUID() as ChatId };

function recording(view?: MessageView): { recorder: TurnRecorder; frames: FrameBody[] } {
  const frames: FrameBody[] = [];
  return { recorder: new TurnRecorder(OF, (frame) => frames.push(frame), view), frames };
}

/** What a reader makes of the frames, as the log has them. */
function folded(frames: readonly FrameBody[]): MessageView {
  const view = emptyMessage();
  for (const frame of frames) {
    const { type, json } = storedBody(frame);
    foldFrame(view, { type, ...(JSON.parse(json) as object) } as FrameBody);
  }
  return view;
}

const call = (id: string, status: ToolCall['status'], title = id): ToolCall => ({
  tool_call_id: id,
  title,
  kind: 'edit',
  status,
  locations: [],
  content: [],
});
const ofType = (frames: readonly FrameBody[], type: FrameBody['type']) => frames.filter((frame) => frame.type === type);
const text = (content: string): AgentEvent => ({ kind: 'text', text: content });

const words = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('a\0b', '\ud83d', '\ude00', '😀', 'x'.repeat(9_000), '😀'.repeat(12_000)),
);
const status = fc.constantFrom('pending', 'in_progress', 'completed', 'failed');
const event: fc.Arbitrary<AgentEvent> = fc.oneof(
  words.map(text),
  words.map((text): AgentEvent => ({ kind: 'reasoning', text })),
  fc
    .tuple(fc.constantFrom('t1', 't2', 't3'), status, words)
    .map(([id, status, title]): AgentEvent => ({ kind: 'tool_call', call: call(id, status, title.slice(0, 300)) })),
  fc
    .array(fc.record({ content: words.map((word) => word.slice(0, 99)), priority: words.map(() => 'low'), status }))
    .map((entries): AgentEvent => ({ kind: 'plan', entries })),
  fc.constant<AgentEvent>({ kind: 'usage', usage: { total_tokens: 3 } }),
  fc.constant<AgentEvent>({ kind: 'note', text: 'n' }),
);
const step = fc.oneof(
  { weight: 12, arbitrary: event.map((event) => (recorder: TurnRecorder) => recorder.record(event)) },
  { weight: 1, arbitrary: fc.constant((recorder: TurnRecorder) => recorder.startOver('again')) },
  { weight: 1, arbitrary: fc.constant((recorder: TurnRecorder) => recorder.closeDangling()) },
);

test('for any output of an agent, readers of the log have the same message as the turn', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { recorder, frames } = recording();
      for (const take of steps) take(recorder);
      expect(folded(frames)).toEqual(recorder.view);
    }),
    { numRuns: 150 },
  );
});

test('an attempt that continues from the log ends with the same message as one that continues from memory', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 25 }), fc.nat(25), (events, cut) => {
      const first = recording();
      for (const event of events.slice(0, cut)) first.recorder.record(event);
      const fromLog = recording(folded(first.frames));
      const fromMemory = recording(first.recorder.view);
      for (const { recorder } of [fromLog, fromMemory]) for (const event of events.slice(cut)) recorder.record(event);
      expect(fromLog.recorder.view).toEqual(fromMemory.recorder.view);
    }),
    { numRuns: 100 },
  );
});

const of = (messageId: string, content: string): AgentEvent => ({ kind: 'text', text: content, messageId });
const begun: AgentEvent = { kind: 'tool_call', call: call('t', 'pending') };
const ended: AgentEvent = { kind: 'tool_call', call: call('t', 'completed') };

test.each<[string, AgentEvent[], string]>([
  ['after a tool call', [text('Writing now.'), begun, ended, text('Done')], 'Writing now.\n\nDone'],
  ['after a call that is reported once', [text('Writing now.'), ended, text('Done')], 'Writing now.\n\nDone'],
  ['under another message id', [of('1', 'One, '), of('1', 'two.'), of('2', 'Three.')], 'One, two.\n\nThree.'],
  ['as far as line ends are missing', [text('One.\n'), begun, text('\nTwo.')], 'One.\n\nTwo.'],
  ['with line ends of the agent itself', [text('One.\n\n'), begun, text('  Two.')], 'One.\n\n  Two.'],
  ['once', [text('One.'), begun, text('T'), text('wo.')], 'One.\n\nTwo.'],
  ['not at the beginning', [begun, ended, text('One.')], 'One.'],
  ['not where a call that runs tells more', [begun, text('One, '), ended, text('two.')], 'One, two.'],
  ['not at empty text', [text('One.'), begun, text(''), text('Two.')], 'One.\n\nTwo.'],
])('a paragraph begins: %s', (_, events, content) => {
  const { recorder, frames } = recording();
  for (const event of events) recorder.record(event);
  expect(recorder.view.content).toBe(content);
  const streamed = ofType(frames, 'delta').map((frame) => 'content' in frame && frame.content);
  expect(streamed.join('')).toBe(content);
});

test('another attempt begins a paragraph, and reasoning has paragraphs of its own', () => {
  const first = recording();
  first.recorder.record(text('half is done'));
  first.recorder.record({ kind: 'reasoning', text: 'One.' });
  const second = recording(folded(first.frames));
  second.recorder.record(text('all is done'));
  second.recorder.record({ kind: 'reasoning', text: 'Two.' });
  expect(second.recorder.view).toMatchObject({ content: 'half is done\n\nall is done', reasoning: 'One.\n\nTwo.' });
  second.recorder.startOver('lost');
  second.recorder.record(text('anew'));
  expect(second.recorder.view.content).toBe('anew');
});

test('a message keeps 50,000 characters and 200,000 of reasoning, and counts the rest', () => {
  const { recorder, frames } = recording();
  for (let i = 0; i < 30; i += 1) {
    recorder.record(text('x'.repeat(8_000)));
    recorder.record({ kind: 'reasoning', text: 'y'.repeat(8_000) });
  }
  expect(recorder.view.content).toBe('x'.repeat(MAX_CONTENT_CHARS));
  expect(recorder.view.reasoning).toBe('y'.repeat(MAX_REASONING_CHARS));
  expect(recorder.view.totalChars).toBe(240_000);
  expect(ofType(frames, 'delta')).toHaveLength(30);
  expect(ofType(frames, 'reasoning_delta')).toHaveLength(30);
});

test.each([
  ['text', 'delta', MAX_CONTENT_CHARS],
  ['reasoning', 'reasoning_delta', MAX_REASONING_CHARS],
] as const)(
  '%s is streamed for 1 MB beyond the kept text; a warning marks the end of the kept text and of the stream',
  (kind, type, kept) => {
    const { recorder, frames } = recording();
    const part = 'z'.repeat(8_000);
    for (let i = 0; i < 300; i += 1) recorder.record({ kind, text: part });
    const streamed = ofType(frames, type).length * part.length;
    expect(streamed).toBeGreaterThan(kept + 1024 * 1024);
    expect(streamed).toBeLessThanOrEqual(kept + 1024 * 1024 + part.length);
    expect(ofType(frames, 'warning')).toEqual([
      { type: 'warning', message: expect.stringContaining(`keeps the first ${kept} characters`) },
      { type: 'warning', message: expect.stringContaining('the rest is not shown') },
    ]);
    if (kind === 'text') expect(recorder.view.totalChars).toBe(300 * part.length);

    recorder.startOver('lost');
    for (let i = 0; i < 300; i += 1) recorder.record({ kind, text: part });
    expect(ofType(frames, type).length * part.length).toBe(2 * streamed);
    expect(ofType(frames, 'warning')).toHaveLength(4);
  },
);

test.each([
  ['text', 'content', MAX_CONTENT_CHARS],
  ['reasoning', 'reasoning', MAX_REASONING_CHARS],
] as const)('at the limit %s ends with a complete character, and no text follows the cut', (kind, field, kept) => {
  const { recorder, frames } = recording();
  recorder.record({ kind, text: 'x' });
  for (let i = 0; i < 10; i += 1) recorder.record({ kind, text: '😀'.repeat(kept / 20) });
  recorder.record({ kind, text: 'y' });
  expect(recorder.view[field]).toBe(`x${'😀'.repeat(kept / 2 - 1)}`);
  expect(folded(frames).content === recorder.view.content).toBe(true);
});

test('tool calls that a lost agent left open are closed as failed, and only those', () => {
  const { recorder, frames } = recording();
  for (const status of ['pending', 'in_progress', 'completed', 'failed'] as const) {
    recorder.record({ kind: 'tool_call', call: call(status, status, `${status} call`) });
  }
  expect(recorder.tool).toBe('in_progress call');
  expect(recorder.closeDangling()).toEqual(['pending call', 'in_progress call']);
  expect(recorder.closeDangling()).toEqual([]);
  const closed = frames
    .slice(4)
    .map((frame) => frame.type === 'tool_call' && [frame.call.tool_call_id, frame.call.status]);
  expect(closed).toEqual([
    ['pending', 'failed'],
    ['in_progress', 'failed'],
  ]);
  expect([...recorder.view.toolCalls.keys()]).toEqual(['pending', 'in_progress', 'completed', 'failed']);
  expect(recorder.tool).toBeUndefined();
  expect(recorder.finishedToolCalls).toBe(1);
});

test('a turn that starts over voids the earlier content of the message', () => {
  const { recorder, frames } = recording();
  recorder.record(text('old'));
  recorder.record({ kind: 'plan', entries: [] });
  recorder.record({ kind: 'tool_call', call: call('t', 'in_progress') });
  recorder.startOver('why');
  expect(frames.at(-1)).toEqual({ type: 'message_reset', ...OF, reason: 'why' });
  recorder.record(text('new'));
  expect(recorder.view).toEqual({ ...emptyMessage(), content: 'new', totalChars: 3, plan: undefined });
  expect(recorder.tool).toBeUndefined();
});

test('commands, usage and warnings become separate frames; notes do not', () => {
  const { recorder, frames } = recording();
  recorder.record({ kind: 'commands', commands: [{ name: 'a', description: 'b' }] });
  recorder.record({ kind: 'usage', usage: { input_tokens: 3, output_tokens: 4 } });
  recorder.record({ kind: 'warning', message: 'w\0' });
  recorder.record({ kind: 'note', text: 'n' });
  expect(frames).toEqual([
    { type: 'agent_commands', commands: [{ name: 'a', description: 'b' }] },
    { type: 'usage', usage: { input_tokens: 3, output_tokens: 4 } },
    { type: 'warning', message: 'w\ufffd' },
  ]);
  expect(recorder.tokens).toBe(7);
  expect(recorder.view).toEqual(emptyMessage());
});
