/** Agents that break the protocol, or reach beyond their worktree, and yet can be served. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sessionPage } from '../../store/sessions.ts';
import type { TaskId } from '../../contract/ids.ts';
import type { ScriptedStart, Step } from '../agents/scripted-agent.ts';
import { permission, text } from '../agents/scripts.ts';
import { expectEnd, FailingAgents, HALF, startFailingAgents, WHOLE_MS } from './lab.ts';

interface Oddity {
  readonly agent?: ScriptedStart;
  readonly steps: readonly Step[];
  readonly says: RegExp;
  readonly content?: RegExp;
}

const END: Step = { stop: 'end_turn' };
const line = (update: unknown): string =>
  `${JSON.stringify({ jsonrpc: '2.0', method: 'session/update', params: { sessionId: 'scripted-session', update } })}\n`;
const ODD_NAME = Buffer.from([0x62, 0xff, 0xfe]).toString('base64');
const SIGN = /half is done/;

const ODDITIES: Readonly<Record<string, Oddity>> = {
  'prints garbage before and in the middle of the protocol': {
    agent: { initialize: 'garbage-first' },
    steps: [{ raw: 'DEBUG {"jsonrpc": broken\n\n[]\n42\n' }, ...HALF, END],
    says: SIGN,
  },
  'sends NUL, lone surrogates and broken UTF-8 in text, titles, plans and file names': {
    steps: [
      { writeBytes: ODD_NAME },
      { raw: line(text('a~b\ud800c')).replace('~', '\0') },
      {
        update: {
          sessionUpdate: 'tool_call',
          toolCallId: 'x\0',
          title: 'T\0\ud800',
          status: 'completed',
          rawInput: { 'k\0': '\ud800' },
        },
      },
      { update: { sessionUpdate: 'plan', entries: [{ content: 'p\0\udfff', priority: 'low', status: 'pending' }] } },
      {
        rawBase64: [
          Buffer.concat([Buffer.from('{"broken": "'), Buffer.from([0xff, 0xc3]), Buffer.from('"}\n')]).toString(
            'base64',
          ),
        ],
      },
      END,
    ],
    says: /^a\ufffdb\ufffdc$/,
  },
  'sends updates before the session is there and after the turn is over': {
    agent: { early: [text('early ')] },
    steps: [{ afterResult: text(' and late') }, ...HALF, END],
    says: /half is done and late/,
  },
  'sends unknown updates, notifications and requests': {
    steps: [
      { update: { sessionUpdate: 'hologram', content: 1 } },
      { update: 'no object' },
      { raw: '{"jsonrpc":"2.0","method":"_vendor/thing"}\n' },
      { ask: 'terminal/create', params: { command: 'ls' } },
      ...HALF,
      END,
    ],
    says: /-32601.*half is done/,
  },
  'updates tool calls that it never made': {
    steps: [
      { update: { sessionUpdate: 'tool_call_update', toolCallId: 'ghost', status: 'in_progress' } },
      ...HALF,
      END,
    ],
    says: SIGN,
  },
  'ends its turn normally after an error in its text: the text is the summary': {
    steps: [...HALF, { update: text('\n\nAPI Error: 500 overloaded') }, END],
    says: /^API Error: 500 overloaded$/,
  },
  'answers requests that do not exist, and twice': {
    steps: [
      { raw: '{"jsonrpc":"2.0","id":4242,"result":{}}\n{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"x"}}\n' },
      ...HALF,
      END,
      END,
    ],
    says: SIGN,
  },
  'ends its turn at once without a word': { steps: [END], says: /completed; the agent wrote no text/ },
  'asks for a permission without options, and with options of unknown kinds': {
    steps: [permission(), permission({ optionId: 'w', name: 'Ask a friend', kind: 'delegate' }), ...HALF, END],
    says: /"cancelled".*"cancelled".*half is done/,
  },
  'leaves a daemon that continues to write': {
    steps: [
      { daemon: 'while :; do echo x >> daemon.txt; sleep 0.05; done', closed: false },
      { waitFor: 'daemon.txt' },
      ...HALF,
      END,
    ],
    says: SIGN,
  },
  'leaves a daemon without standard streams that continues to write': {
    steps: [
      { daemon: 'while :; do echo x >> daemon.txt; sleep 0.05; done', closed: true },
      { waitFor: 'daemon.txt' },
      ...HALF,
      END,
    ],
    says: SIGN,
  },
};

let agents: FailingAgents;
let neighbours: TaskId[];
let outside: string;
let reaching: TaskId;
const tasks = new Map<string, TaskId>();

const write = (file: string): Step => ({
  ask: 'fs/write_text_file',
  params: { sessionId: 's', path: file, content: 'in' },
});
const read = (file: string): Step => ({ ask: 'fs/read_text_file', params: { sessionId: 's', path: file } });

/** Each of these must be refused. */
const reaches = (): Step[] => [
  write(path.join(outside, 'absolute.txt')),
  write('../beside.txt'),
  write('sub/../../../beside.txt'),
  { link: 'file', to: path.join(outside, 'secret.txt') },
  read('file'),
  write('file'),
  { link: 'folder', to: outside },
  read('folder/secret.txt'),
  write('folder/new.txt'),
  { link: 'swapped', to: outside },
  write('swapped/new.txt'),
  read('/proc/self/environ'),
  write('/proc/self/cwd/new.txt'),
  write('.git/hooks/post-commit'),
  write(''),
  write('nul\0.txt'),
];

beforeAll(async () => {
  agents = await startFailingAgents();
  outside = path.join(agents.lab.home, 'outside');
  await mkdir(outside);
  await writeFile(path.join(outside, 'secret.txt'), 'the secret');
  neighbours = await agents.neighbours(3);
  reaching = await agents.play({}, [write('swapped/own.txt'), ...reaches(), END]);
  for (const [name, { agent = {}, steps }] of Object.entries(ODDITIES))
    tasks.set(name, await agents.play(agent, steps));
  await agents.allEnded();
}, WHOLE_MS);
afterAll(() => agents.close());

const taskOf = (name: string): TaskId => tasks.get(name) ?? reaching;

test.each(Object.entries(ODDITIES))('an agent that %s completes its task', async (name, { says }) => {
  await expectEnd(agents, taskOf(name), { state: 'completed', code: null, says, attempts: 1 });
});

test('file names that are not UTF-8 are in the change', async () => {
  const [name] = Object.keys(ODDITIES).filter((one) => one.includes('broken UTF-8'));
  const files = await agents.lab.results('ls-tree', '--name-only', `refs/longhaul/tasks/${taskOf(name ?? '')}`);
  expect(files).toContain(String.raw`"b\377\376"`);
});

test('the files that a daemon wrote are in the change, and the daemon is ended before they are collected', async () => {
  const names = Object.keys(ODDITIES).filter((one) => one.includes('daemon'));
  for (const name of names) expect(await agents.lab.inChange(taskOf(name), 'daemon.txt')).toMatch(/^(x\n?)+$/);
  expect(names).toHaveLength(2);
});

test('a permission request without a known option causes a warning', async () => {
  const [name] = Object.keys(ODDITIES).filter((one) => one.includes('permission'));
  const warnings = (await agents.lab.frames(taskOf(name ?? ''))).filter(({ type }) => type === 'warning');
  expect(warnings.map(({ body }) => body['message'])).toEqual(
    Array.from({ length: 2 }, () => expect.stringContaining('Remove it') as string),
  );
});

test("an agent's file requests outside its worktree are refused, and nothing there is changed", async () => {
  const asked = reaches().filter((step) => 'ask' in step).length;
  await expectEnd(agents, reaching, { state: 'completed', code: null, says: /Refused/, attempts: 1 });
  const content = await agents.content(reaching);
  expect(content.match(/"message":"Refused: /g)).toHaveLength(asked);
  expect(content).not.toContain('the secret');
  expect(await readdir(outside)).toEqual(['secret.txt']);
  expect(await readdir(path.join(agents.lab.home, 'worktrees'))).toEqual([]);
});

test('an agent that ignores a cancel, its closed stdin and SIGTERM is killed, and its edits are kept', async () => {
  const stubborn = { ignoreCancel: true, ignoreEof: true, ignoreTerm: true };
  const task = await agents.play(stubborn, [...HALF, { hang: true }]);
  await agents.lab.untilFrame(task, 'the half', ({ type }) => type === 'delta');
  await agents.lab.cancel(task);
  await expectEnd(agents, task, { state: 'cancelled', code: null, says: /^Cancelled: test$/, attempts: 1 });
  expect(await agents.lab.changes(task)).toMatchObject([{ partial: true }]);
  expect(await agents.lab.inChange(task, 'half.txt')).toBe('half');
});

test('tasks beside them complete at their first attempt, in the same worker', async () => {
  for (const task of neighbours) await agents.expectUndisturbed(task);
});

test("tokens that an agent counts over its whole session become each task's; the session has the sum", async () => {
  const { lab } = agents;
  const agent = await agents.agent({ load: {} });
  let sessionId: string | undefined;
  const costs: (number | null)[] = [];
  // The last one's count falls: the agent has begun anew, so it is the turn's own.
  for (const totalTokens of [100, 130, 20]) {
    const input = JSON.stringify([{ stop: 'end_turn', usage: { totalTokens } }]);
    const task = await lab.submit({ agent, input, ...(sessionId ? { sessionId } : {}) });
    sessionId = (await lab.ended(task)).session_id ?? '';
    const [row] = await lab.sql<{ cost: number | null }[]>`SELECT cost_tokens AS cost FROM tasks WHERE id = ${task}`;
    costs.push(row?.cost ?? null);
  }
  expect(costs).toEqual([100, 30, 20]);
  const { items } = await sessionPage(lab.sql, {}, { limit: 100 });
  expect(items.find(({ id }) => id === sessionId)).toMatchObject({ cost_tokens: 150 });
});
