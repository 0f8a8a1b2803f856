import { expect, test } from 'vitest';
import { endLines } from '../../cli/end-text.ts';
import { liveScreen } from '../../cli/live-screen.ts';
import { plainScreen } from '../../cli/plain-screen.ts';
import type { LiveLine } from '../../cli/screen.ts';
import { fit, harmless, painter, seconds, widthOf, wrap } from '../../cli/terminal.ts';
import { makeChangeNotifier } from '../../cli/service-watch.ts';
import { tableText } from '../../cli/task-text.ts';
import { Timeline } from '../../cli/timeline.ts';
import type { TaskDescription } from '../../client/tasks.ts';
import type { FrameBody } from '../../contract/frame.ts';
import type { ChatId, MessageId, SessionId, TaskId } from '../../contract/ids.ts';

const plain = painter({ isTTY: false });

test('output of an agent cannot control the terminal', () => {
  const evil = 'a\u001b[2Jb\u001b]0;title\u0007c\u009b31md\r\ne\rf\u202eg\u0008';
  const shown = harmless(evil);
  // oxlint-disable-next-line no-control-regex -- that is what must not be there
  expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  expect(shown.replaceAll('\ufffd', '')).toBe('abcd\ne\nfg');
});

test('text is cut and wrapped by its width in columns', () => {
  expect(widthOf('日本')).toBe(4);
  expect(widthOf('e\u0301')).toBe(1);
  expect(widthOf('🎉')).toBe(2);
  expect(fit('日本語', 5)).toBe('日本…');
  expect(wrap('the quick brown fox', 10)).toEqual(['the quick', 'brown fox']);
  expect(wrap('x'.repeat(25), 10)).toEqual(['x'.repeat(10), 'x'.repeat(10), 'x'.repeat(5)]);
  for (const line of wrap('日本語テキスト '.repeat(10), 11)) expect(widthOf(line)).toBeLessThanOrEqual(11);
});

test('durations are readable', () => {
  expect([0, 450, 12_000, 59_700, 200_000, 7_300_000].map(seconds)).toEqual([
    '0.0 s',
    '0.5 s',
    '12 s',
    '1 min 0 s',
    '3 min 20 s',
    '2 h 1 min',
  ]);
});

test('colours are for terminals that want them', () => {
  expect(painter({ isTTY: true }, {})('red', 'x')).toBe('\u001b[31mx\u001b[0m');
  expect(painter({ isTTY: true }, { NO_COLOR: '1' })('red', 'x')).toBe('x');
  expect(painter({ isTTY: true }, { TERM: 'dumb' })('red', 'x')).toBe('x');
  expect(painter({}, {})('red', 'x')).toBe('x');
  expect(painter({ isTTY: true }, { TERM: 'dumb', FORCE_COLOR: '1' })('red', 'x')).toBe('\u001b[31mx\u001b[0m');
  expect(painter({ isTTY: true }, { FORCE_COLOR: '0' })('red', 'x')).toBe('x');
  expect(painter({ isTTY: true }, { FORCE_COLOR: '1', NO_COLOR: '1' })('red', 'x')).toBe('x');
  expect(painter({}, { FORCE_COLOR: '1' })('red', 'x')).toBe('x');
});

/** What a terminal shows in the end of what was written, by the few sequences that the screen uses. */
function shownOn(written: string): string[] {
  const lines = [''];
  let row = 0;
  // oxlint-disable-next-line no-control-regex -- a terminal reads them
  for (const [token, up] of written.matchAll(/\u001b\[(\d*)A|\u001b\[\??\d*[a-zA-Z]|\r|\n|[^\u001b\r\n]+/g)) {
    if (up !== undefined) row -= Number(up);
    else if (token === '\u001b[J') {
      lines.length = row + 1;
      lines[row] = '';
    } else if (token === '\n') {
      row += 1;
      lines[row] ??= '';
    } else if (!token.startsWith('\u001b') && token !== '\r') lines[row] = (lines[row] ?? '') + token;
  }
  return lines;
}

test('on a terminal the live lines are redrawn and only permanent lines remain', () => {
  let written = '';
  const screen = liveScreen({ write: (text) => (written += text), columns: 21, rows: 10 }, plain);
  let bottom = ['tool one', 'working'];
  screen.live(() => bottom.map((text) => ({ text })));
  screen.text('Hello ');
  expect(shownOn(written)).toEqual(['Hello ', 'tool one', 'working']);
  screen.text('dear world, how are you?');
  expect(shownOn(written)).toEqual(['Hello dear world,', 'how are you?', 'tool one', 'working']);
  bottom = ['a bottom line that is far too long'];
  screen.line('tool one done');
  screen.text('\nmore');
  expect(shownOn(written)).toEqual([
    'Hello dear world,',
    'how are you?',
    'tool one done',
    '',
    'more',
    'a bottom line that …',
  ]);
  screen.end();
  expect(shownOn(written)).toEqual(['Hello dear world,', 'how are you?', 'tool one done', '', 'more', '']);
});

const taskId = 'task' as TaskId;
const of = { message_id: 'm' as MessageId, chat_id: 'c' as ChatId };

function story(bodies: readonly FrameBody[], { verbose = false, continues = false } = {}): string[] {
  let written = '';
  const timeline = new Timeline({
    taskId,
    screen: plainScreen({ write: (text) => (written += text) }),
    since: 0,
    showsInput: true,
    verbose,
  });
  bodies.forEach((body, index) => {
    const at = new Date(1_000 * index).toISOString();
    timeline.show({ ...body, session_id: 's' as SessionId, seq: index + 1, task_id: taskId, at });
  });
  timeline.end({ continues });
  return written.trimEnd().split('\n');
}

const tool = (status: 'pending' | 'in_progress' | 'completed' | 'failed', id = 't'): FrameBody => {
  const call = { tool_call_id: id, title: `Edit ${id}\nsecond line`, kind: 'edit', status, locations: [], content: [] };
  return { type: 'tool_call', ...of, call };
};
const plan = (first: string, second: string): FrameBody => {
  const entry = (content: string, status: string) => ({ content, priority: 'medium', status });
  return { type: 'plan', ...of, entries: [entry('one', first), entry('two', second)] };
};

const command = (status: 'completed' | 'failed', text: string, kind = 'execute'): FrameBody => {
  const call = {
    tool_call_id: 'c',
    title: 'Run it',
    kind,
    status,
    locations: [],
    content: [{ type: 'text', text }],
  } as const;
  return { type: 'tool_call', ...of, call };
};

test("the end of a command's output is shown, and the rest is counted", () => {
  const printed = Array.from({ length: 9 }, (_, index) => `line ${index + 1}`).join('\n');
  expect(story([command('completed', `\`\`\`console\n${printed}\n\`\`\``)])).toEqual([
    '  ✓ Run it',
    '    │ … 4 more lines (--verbose shows all)',
    ...[5, 6, 7, 8, 9].map((number) => `    │ line ${number}`),
  ]);
  expect(story([command('completed', printed)], { verbose: true })).toHaveLength(10);
  expect(story([command('completed', 'a file', 'read')])).toEqual(['  ✓ Run it']);
  expect(story([command('failed', 'no \u001b[2Jsuch file', 'read')])).toEqual(['  ✗ Run it', '    │ no such file']);
});

test("colours are removed from an agent's text, wherever that is split", () => {
  const said = 'a \u001b[1;32mgreen\u001b[0m word\r\nand \u001b]0;a title\u0007the \u001b]8;;http://x\u001b\\rest\n';
  const cuts = said.split('').map((_, at) => [said.slice(0, at + 1), said.slice(at + 1)]);
  for (const pieces of [[said], said.split(''), ...cuts]) {
    expect(story(pieces.map((content): FrameBody => ({ type: 'delta', ...of, content })))).toEqual([
      'a green word',
      'and the rest',
    ]);
  }
});

test('the end of a call that is reported twice is shown once, another output is shown', () => {
  expect(story([tool('pending'), tool('completed'), tool('completed')])).toEqual(['  ▸ Edit t', '  ✓ Edit t  1.0 s']);
  expect(story([command('completed', ''), command('completed', 'late')])).toEqual([
    '  ✓ Run it',
    '  ✓ Run it',
    '    │ late',
  ]);
});

test('a paragraph below a line of another kind begins without empty lines, one below text after an empty line', () => {
  const delta = (content: string): FrameBody => ({ type: 'delta', ...of, content });
  expect(story([delta('One.'), tool('completed'), delta('\n\nTwo.'), delta('\n\nThree.')])).toEqual([
    'One.',
    '  ✓ Edit t',
    'Two.',
    '',
    'Three.',
  ]);
});

test('another attempt is shown with its reason', () => {
  const attempt = (number: number, error_code?: 'worker_lost' | 'agent_crashed'): FrameBody => ({
    type: 'task_state',
    state: 'running',
    phase: 'starting',
    attempt: number,
    ...(error_code && { error_code }),
  });
  expect(story([attempt(1), attempt(2, 'worker_lost'), attempt(2), attempt(3, 'agent_crashed'), attempt(4)])).toEqual([
    '↺ attempt 2: the worker was stopped or lost',
    '↺ attempt 3: the agent crashed',
    '↺ attempt 4: the worker was stopped or lost',
  ]);
});

test('a task that waits for a limit is shown with the duration, or with the local time', () => {
  const until = new Date(2030, 0, 2, 15, 4, 5);
  const waiting = { type: 'task_state', state: 'running', phase: 'waiting_limit' } as const;
  const starting = { ...waiting, phase: 'starting', attempt: 2, error_code: 'usage_limit' } as const;
  expect(story([{ ...waiting, attempt: 1, waits_until: until.toISOString() }, starting])).toEqual([
    '⏸ waits until 2030-01-02 15:04:05',
    '↺ attempt 2: the limit was lifted',
  ]);
  const soon = new Date(Date.now() + 25_500).toISOString();
  expect(story([{ ...waiting, attempt: 1, waits_until: soon }])[0]).toMatch(/until [\d: -]+:\d\d \(2\d s left\)$/);
  const row = {
    id: 'abcdefgh',
    cancel_requested_at: null,
    kept_worktree: null,
    agent: 'demo',
    ...waiting,
    waits_until: until.toISOString(),
    created_at: null,
    input: 'do it',
  };
  const task = row as unknown as TaskDescription;
  const stateAt = (...at: [day: number, hour: number, minute: number, second: number]): string | undefined => {
    const table = tableText([task], { columns: 80, now: new Date(2030, 0, ...at).getTime(), paint: plain });
    return table.split('\n')[1]?.split(/ {2,}/)[1];
  };
  expect(stateAt(2, 15, 3, 40)).toBe('waits, 25 s left');
  expect(stateAt(2, 11, 4, 5)).toBe('waits, 4 h 0 min left');
  expect(stateAt(1, 11, 0, 0)).toBe('waits, until 2030-01-02 15:04:05');
  expect(stateAt(2, 15, 4, 6)).toBe('waits, until 15:04:05');
});

test('the last line of a task names its session, so that the next task can continue it', () => {
  const task = { id: 'abcdefgh-', session_id: '12345678-', state: 'completed', kept_worktree: null, change: null, error_code: null, created_at: '2030-01-02T15:04:05Z', ended_at: '2030-01-02T15:04:08Z' }; // prettier-ignore
  const [, line] = endLines(task as unknown as TaskDescription);
  expect(line?.text).toBe('✓ completed · 3.0 s · no change · session 12345678');
});

test('a running task whose cancel was requested is shown as stopping until its changes are collected', () => {
  const asked = '2030-01-02T15:04:05.000Z';
  const row = {
    id: 'abcdefgh',
    agent: 'demo',
    state: 'running',
    cancel_requested_at: asked,
    created_at: null,
    input: 'do it',
  };
  const tasks = ['working', 'waiting_limit', 'collecting'].map((phase) => ({ ...row, phase }) as TaskDescription);
  const lines = tableText(tasks, { columns: 80, now: 0, paint: plain }).split('\n').slice(1);
  expect(lines.map((line) => line.split(/ {2,}/)[1])).toEqual(['stopping', 'stopping', 'collecting']);
});

test('after detaching, a tool that still runs is not shown as failed', () => {
  expect(story([tool('in_progress')], { continues: true })).toEqual(['  ▸ Edit t', '  ▸ Edit t (still running)']);
});

test('a service that becomes unavailable is reported once, and again when it is available', () => {
  const said: string[] = [];
  const tell = makeChangeNotifier((text) => said.push(text));
  for (const reached of [true, true, false, false, true, true]) tell('the database', reached);
  tell('the worker', false);
  expect(said).toEqual(['waiting for the database …', 'the database is back', 'waiting for the worker …']);
});

test.each([40, 60, 80, 200])('on %d columns no line of ls is wider, and each shows id, state and input', (columns) => {
  const row = (state: string, more: object): TaskDescription =>
    ({
      id: 'abcdefgh-',
      session_id: '12345678-',
      state,
      agent: 'an-agent-with-a-long-name',
      project_name: '日本語のプロジェクト',
      created_at: new Date(0).toISOString(),
      cancel_requested_at: null,
      kept_worktree: null,
      input:
        'Fix the login form: it must 日本語 accept everything that people type into it, however long that may be, in all \u001b[31mcolours',
      ...more,
    }) as TaskDescription;
  const waiting = { phase: 'waiting_limit', waits_until: new Date(9e12).toISOString() };
  const tasks = [row('completed', {}), row('running', waiting), row('failed', { input: 'x', agent: null })];
  for (const some of [tasks, tasks.slice(0, 1)]) {
    const [header = '', ...lines] = tableText(some, { columns, now: 3e9, paint: plain }).split('\n');
    for (const line of [header, ...lines]) expect(widthOf(line)).toBeLessThanOrEqual(columns);
    expect(header).toMatch(/^ID +STATE .*INPUT$/);
    expect(lines[0]).toMatch(/^abcdefgh {2}completed .*Fix/);
  }
  // A session's id is needed to continue it, so it is the last column that a narrow terminal loses.
  expect(tableText(tasks.slice(0, 1), { columns: 60, now: 3e9, paint: plain })).toContain('12345678');
  expect(tableText(tasks, { columns: 200, now: 3e9, paint: plain }).split('\n')[0]?.split(/ +/)).toEqual([
    'ID',
    'STATE',
    'SESSION',
    'AGENT',
    'PROJECT',
    'AGE',
    'INPUT',
  ]);
});

test('columns of wide names line up', () => {
  const task = (project_name: string, agent: string) =>
    ({ id: 'abcdefgh', state: 'completed', agent, project_name, created_at: null, input: 'do it' }) as TaskDescription;
  const table = tableText([task('日本語', 'demo'), task('plain', '🎉')], { columns: 80, now: 0, paint: plain });
  const starts = table.split('\n').map((line) => widthOf(line.slice(0, line.search(/INPUT|do it/))));
  expect(new Set(starts).size).toBe(1);
});

test('while old frames are shown no live line shows a duration, because it would be the age of the frames', () => {
  let bottom: () => readonly unknown[] = () => [];
  const seen: number[] = [];
  const look = (): void => void seen.push(bottom().length);
  const screen = {
    text: look,
    line: look,
    end: () => {},
    live: (lines: () => readonly LiveLine[]) => (bottom = lines),
  };
  const timeline = new Timeline({ taskId, screen, since: 0, showsInput: true });
  const at = new Date(0).toISOString();
  const bodies = [tool('in_progress'), { type: 'delta', ...of, content: 'hello' } as const, tool('in_progress', 'u')];
  const frames = bodies.map((body, index) => ({
    ...body,
    session_id: 's' as SessionId,
    seq: index + 1,
    task_id: taskId,
    at,
  }));
  timeline.showPage(frames);
  expect(seen).toEqual([0]);
  expect(bottom()).toHaveLength(3);
});

test('in a pipe, an entry of a plan is printed when it is new and when it is done, not when it begins', () => {
  const lines = [plan('pending', 'pending'), plan('in_progress', 'pending'), plan('completed', 'in_progress')];
  expect(story([...lines, plan('completed', 'completed')])).toEqual(['  ☐ one', '  ☐ two', '  ☑ one', '  ☑ two']);
});

test("a user's message is shown once with each text, and not again if it was removed from its queue", () => {
  const input = (content: string, status = 'complete') =>
    ({ type: 'message', ...of, role: 'user', content, status }) as const;
  const typed = { type: 'delta', ...of, role: 'user', content: 'new' } as const;
  expect(story([input('old'), input('old'), input('new'), typed, input('new', 'cancelled')])).toEqual([
    '> old',
    '> new',
  ]);
});

test('in a pipe, a task is printed as plain lines', () => {
  expect(
    story([
      { type: 'message', ...of, role: 'user', content: 'please\nfix\nit\nnow', status: 'complete' },
      { type: 'reasoning_delta', ...of, content: 'I thi' },
      { type: 'reasoning_delta', ...of, content: 'nk' },
      { type: 'delta', ...of, content: 'Sure' },
      tool('pending'),
      tool('in_progress'),
      plan('in_progress', 'pending'),
      tool('completed'),
      tool('failed', 'u'),
      plan('completed', 'pending'),
      { type: 'warning', message: 'careful' },
      { type: 'message_reset', ...of, reason: 'the agent crashed' },
      tool('pending', 'v'),
      { type: 'delta', ...of, content: 'Done\nand gone' },
    ]),
  ).toEqual([
    '> please',
    '> fix',
    '> it',
    '> …',
    '· I think',
    'Sure',
    '  ▸ Edit t',
    '  ☐ one',
    '  ☐ two',
    '  ✓ Edit t  3.0 s',
    '  ✗ Edit u',
    '  ☑ one',
    '! careful',
    '↺ starting over: the agent crashed',
    '  ▸ Edit v',
    'Done',
    'and gone',
    '  ✗ Edit v (not finished)',
  ]);
});
