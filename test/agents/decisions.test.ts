/** What is decided without a process: sizes, policies, the demo agent's grammar. */
import { expect, test } from 'vitest';
import { parseLine } from '../../agents/acp/lines.ts';
import { cleanText, cutText } from '../../agents/acp/text.ts';
import { readSessionSettings } from '../../agents/acp/options.ts';
import { ToolCallLedger } from '../../agents/acp/tool-calls.ts';
import { eventsOf, pairJoiners } from '../../agents/acp/updates.ts';
import { parseInstructions } from '../../agents/demo/instructions.ts';
import type { PermissionAsk, PermissionOption, ToolCall } from '../../agents/driver.ts';
import { decideByPolicy } from '../../agents/permission-policy.ts';
import { pieces } from '../../contract/cut-text.ts';

const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

function snapshot(update: object): ToolCall {
  const call = new ToolCallLedger().update({ toolCallId: 'a', ...update });
  if (call === undefined) throw new Error('no call');
  return call;
}

test('a text is cut to 16 KB and marked as cut', () => {
  const call = snapshot({ content: [{ type: 'content', content: { type: 'text', text: 'é'.repeat(20_000) } }] });
  const content = call.content[0];
  const text = content?.type === 'text' ? content.text : '';
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(16 * 1024);
  expect(text).toMatch(/^é+\n… \(cut: 20000 characters in all\)$/);
});

test.each([
  ['a large diff', { content: [{ type: 'diff', path: 'f', oldText: 'x'.repeat(1e6), newText: 'y'.repeat(1e6) }] }],
  [
    'many texts',
    {
      content: Array.from({ length: 5_000 }, () => ({
        type: 'content',
        content: { type: 'text', text: 'z'.repeat(9_000) },
      })),
    },
  ],
  [
    'control characters',
    {
      content: Array.from({ length: 9 }, () => ({
        type: 'content',
        content: { type: 'text', text: '\u0001'.repeat(9_000) },
      })),
    },
  ],
  ['large raw values', { rawInput: { a: 'x'.repeat(1e6) }, rawOutput: Array.from({ length: 1e5 }, () => 1) }],
  ['many locations', { locations: Array.from({ length: 5_000 }, () => ({ path: 'p'.repeat(4_000) })) }],
  ['a long title', { title: 't'.repeat(1e6), kind: 'k' }],
  ['content of no known type', { content: [{ type: 'hologram', data: 'x'.repeat(1e6) }] }],
])('a snapshot with %s is at most 48 KB', (_, update) => {
  expect(bytes(snapshot(update))).toBeLessThanOrEqual(48 * 1024);
});

test('U+0000 and lone surrogates are replaced everywhere in a snapshot', () => {
  const json = JSON.stringify(
    snapshot({ title: 'a\0', rawInput: { 'k\0': ['\ud800', { deep: 'x\udc00' }] }, kind: '\ud83d' }),
  );
  expect(json).not.toMatch(/\\u0000|\\ud/);
  expect(json).toContain('\uFFFD');
  expect(cleanText('pair 😀 \ud83d!')).toBe('pair 😀 \uFFFD!');
});

test('a cut never splits a character', () => {
  expect([...pieces('😀😀😀', 3)]).toEqual(['😀', '😀', '😀']);
  expect(cutText('😀'.repeat(100), 101)).toMatch(/^(😀)+\n/u);
});

test.each([
  ['agent_message_chunk', 'text'],
  ['agent_thought_chunk', 'reasoning'],
])('a character that an agent splits over two updates (%s) is joined', (sessionUpdate, kind) => {
  const hearing = {
    ledger: new ToolCallLedger(),
    settings: { settings: readSessionSettings(undefined) },
    speech: pairJoiners(),
    replayed: false,
  };
  const said = ['one \ud83d', '\ude00 two', ' \ud83d', 'three'].flatMap(
    (text) => eventsOf({ sessionUpdate, content: { type: 'text', text } }, hearing) ?? [],
  );
  expect(said.map((event) => event.kind)).toEqual(said.map(() => kind));
  expect(said.map((event) => ('text' in event ? event.text : '')).join('')).toBe('one 😀 two \uFFFDthree');
});

test.each([
  ['{"a":1}', { a: 1 }],
  ['noise {"jsonrpc":"2.0"}', { jsonrpc: '2.0' }],
  ['[1]', undefined],
  ['"text"', undefined],
  ['{"a":', undefined],
  ['npm warn {not json}', undefined],
])('the line %s is parsed as %o', (line, message) => {
  expect(parseLine(line)).toEqual(message);
});

const option = (kind: PermissionOption['kind']): PermissionOption => ({ option_id: `id-${kind}`, name: kind, kind });
const askOf = (...kinds: PermissionOption['kind'][]): PermissionAsk => ({
  toolCall: snapshot({}),
  options: kinds.map(option),
  hash: '',
  isCut: false,
});

test.each([
  ['allow', ['allow_always', 'reject_once', 'allow_once'], 'id-allow_once'],
  ['allow', ['reject_once', 'allow_always'], 'id-allow_always'],
  ['allow', ['reject_once'], undefined],
  ['deny', ['allow_once', 'reject_always', 'reject_once'], 'id-reject_once'],
  ['deny', ['allow_once', 'reject_always'], 'id-reject_always'],
  ['deny', ['allow_once'], undefined],
] as const)('the policy %s chooses an option of %o by kind', (policy, kinds, optionId) => {
  const expected = optionId === undefined ? { kind: 'cancelled' } : { kind: 'selected', optionId };
  expect(decideByPolicy(policy, askOf(...kinds))).toEqual(expected);
});

test('a prompt is read sentence by sentence', () => {
  const prompt = `Please write src/a.ts with "line 1.\\nline 2". Then append more text to notes.txt.
    ask before b.txt. rename "a b" to c.txt. run sh -c "echo hi. && ls" 'x y'. slowly. slowly over 5 seconds.
    flood 3 MB. crash. crash once. hang. refuse. plan. think. delete a.b.c. say Version 1.2 is out. Hello there! How are you?`;
  expect(parseInstructions(prompt)).toEqual([
    { kind: 'write', file: 'src/a.ts', text: 'line 1.\nline 2\n' },
    { kind: 'append', file: 'notes.txt', text: 'more text\n' },
    { kind: 'ask', file: 'b.txt' },
    { kind: 'rename', from: 'a b', to: 'c.txt' },
    { kind: 'run', command: `sh -c "echo hi. && ls" 'x y'`, words: ['sh', '-c', 'echo hi. && ls', 'x y'] },
    { kind: 'slowly', seconds: 20 },
    { kind: 'slowly', seconds: 5 },
    { kind: 'flood', megabytes: 3 },
    { kind: 'crash', once: false },
    { kind: 'crash', once: true },
    { kind: 'hang' },
    { kind: 'refuse' },
    { kind: 'plan' },
    { kind: 'think', text: 'what was asked, word by word' },
    { kind: 'delete', file: 'a.b.c' },
    { kind: 'say', text: 'Version 1.2 is out' },
    { kind: 'answer', text: 'Hello there! How are you?' },
  ]);
});

test.each(['', '   ', '...', '"', 'say "never closed', 'write', '\0'])(
  'the prompt %j does not break the grammar',
  (prompt) => {
    expect(Array.isArray(parseInstructions(prompt))).toBe(true);
  },
);
