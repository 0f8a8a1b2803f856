/** `longhaul run` in a real terminal, which is resized and typed into while the task streams. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { FrameBody } from '../../contract/frame.ts';
import type { Sql } from '../../store/sql.ts';
import type { TaskId } from '../../contract/ids.ts';
import { builtModule } from '../lab/built.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, delta, labSession, type LabMessage } from '../lab/log.ts';
import { LabTerminal } from '../lab/terminal.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
let dir: string;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  dir = await mkdtemp(join(tmpdir(), 'lh-screen-'));
  await mkdir(join(dir, 'repo', '.git'), { recursive: true });
  await writeFile(join(dir, 'repo', '.git', 'HEAD'), 'ref: refs/heads/main\n');
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true)`;
});
afterAll(async () => {
  await database.drop();
  await rm(dir, { recursive: true, force: true });
});

const environment = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  LANG: 'C.UTF-8',
  PS1: 'your turn> ',
  TERM_PROGRAM: 'vscode', // the screen is one of its kind
  LONGHAUL_HOME: join(dir, 'home'),
  DATABASE_URL: database.url,
  TEMPORAL_ADDRESS: inject('temporalAddress'),
  TEMPORAL_CONFIG_FILE: '/dev/null',
});

interface Run {
  readonly terminal: LabTerminal;
  readonly message: LabMessage;
  readonly say: (...bodies: FrameBody[]) => Promise<void>;
  readonly end: () => Promise<void>;
}

async function run(input: string, size: { cols: number; rows: number }, shell?: string): Promise<Run> {
  const command = [builtModule('cli/main'), 'run', '--agent', 'demo', input];
  const [file, args] = shell === undefined ? [process.execPath, command] : [shell, ['--norc', '--noprofile', '-i']];
  const terminal = new LabTerminal(file, args, { ...size, cwd: join(dir, 'repo'), env: environment() });
  if (shell !== undefined) terminal.type(`clear; '${[process.execPath, ...command].join("' '")}'\r`);
  const find = () => sql<{ id: TaskId }[]>`SELECT id FROM tasks WHERE input = ${input}`;
  const task = await until('the task', async () => (await find())[0]);
  const message = { ...(await labSession(sql)), taskId: task.id };
  await sql`UPDATE tasks SET session_id = ${message.sessionId}, state = 'running' WHERE id = ${task.id}`;
  const say = (...bodies: FrameBody[]): Promise<void> => append(sql, message, bodies);
  const end = async (): Promise<void> => {
    await sql`UPDATE tasks SET state = 'completed', ended_at = now() WHERE id = ${task.id}`;
    await say({ type: 'task_state', state: 'completed', phase: 'completed' });
  };
  return { terminal, message, say, end };
}

const call = (message: LabMessage, status: 'in_progress' | 'completed', printed = ''): FrameBody => ({
  type: 'tool_call',
  message_id: message.messageId,
  chat_id: message.chatId,
  call: {
    tool_call_id: 't',
    title: 'Run the whole test suite of the project with coverage',
    kind: 'execute',
    status,
    locations: [],
    content: printed === '' ? [] : [{ type: 'text', text: printed }],
  },
});

/** `w000 w001 …`, of different lengths. */
const words = (from: number, to: number): string =>
  Array.from(
    { length: to - from },
    (_, at) => `w${String(from + at).padStart(3, '0')}${'x'.repeat(((from + at) * 7) % 11)} `,
  ).join('');
const COLOURED =
  '\u001b[32m✓\u001b[0m \u001b[1mpasses\u001b[22m here\r\n10 %\r55 %\r100 %\r\n日本語の長いテスト名がここにあります日本語の長いテスト名';

const found = (lines: readonly string[], pattern: RegExp): string[] => lines.join('\n').match(pattern) ?? [];

test.each([
  [40, 12],
  [60, 15],
  [80, 24],
  [200, 50],
])(
  'on %d columns, resized and typed into in mid-stream, each line is shown once and no word is cut',
  async (cols, rows) => {
    const { terminal, message, say, end } = await run(`at ${cols} columns`, { cols, rows });
    const stream = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += 4) await say(delta(message, words(at, at + 4)));
      await terminal.shows(`w${String(to - 1).padStart(3, '0')}`);
    };
    await stream(0, 20);
    await say(call(message, 'in_progress'));
    await terminal.shows('◌ Run');
    for (const width of [cols - 13, cols + 20, cols / 2 + 10, cols]) {
      terminal.resize({ cols: width, rows: rows - 2 });
      terminal.type('\r');
      terminal.type('hello\r');
      await terminal.shows('◌ Run');
      await terminal.redrawn();
    }
    await stream(20, 60);
    await say(call(message, 'completed', COLOURED));
    await stream(60, 80);
    await end();
    expect(await terminal.exited).toBe(0);
    const lines = await terminal.lines();
    const all = words(0, 80).trim().split(' ');
    expect(found(lines, /\bw\d\d\dx*/g)).toEqual(all);
    expect(found(lines, /Run the whole/g)).toHaveLength(1);
    expect(found(lines, /✓ passes here$/gm)).toHaveLength(1);
    expect(found(lines, /^.*\d+ %$/gm)).toEqual(['    │ 100 %']);
    expect(found(lines, /[日本語の長いテスト名がここにあります]+/g).join('')).toBe(/日.*$/.exec(COLOURED)?.[0]);
    expect(found(lines, /✓ completed/g)).toHaveLength(1);
    expect(lines.join('\n')).not.toMatch(/hello|[◌⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]|\ufffd|\[\d*m/);
    // Since the last resize, no row ends within a word.
    const shown = await terminal.rows();
    const since = shown.findIndex((row) => row.includes('w021'));
    expect(found(shown.slice(since + 1), /\bw\d\d\dx*/g)).toEqual(
      all.slice(-found(shown.slice(since + 1), /\bw\d\d\d/g).length),
    );
    await terminal.close();
  },
);

test('Ctrl-C in a terminal detaches: the tool still runs, the task continues, and the rows fit', async () => {
  const { terminal, message, say } = await run('leave me', { cols: 40, rows: 12 });
  await say(delta(message, 'So far'), call(message, 'in_progress'));
  await terminal.shows('◌ Run');
  terminal.type('\u0003');
  expect(await terminal.exited).toBe(0);
  const id = message.taskId.slice(0, 8);
  const rows = (await terminal.rows()).join('\n');
  expect(rows).toContain('So far\n  ▸ Run the whole test suite of the\n  project with coverage (still running)\n');
  expect(rows).toContain(`  longhaul cancel ${id}`);
  expect(rows).not.toMatch(/✗|◌|\^C/);
  expect(await terminal.lines()).toEqual(await terminal.rows());
  expect(await sql`SELECT state, cancel_requested_at FROM tasks WHERE id = ${message.taskId}`).toEqual([
    { state: 'running', cancel_requested_at: null },
  ]);
  await terminal.close();
});

test('a window that shrinks to two rows and grows again shows no stale live line, and no clear begins in its first row', async () => {
  const { terminal, say, end } = await run('small', { cols: 50, rows: 8 });
  await say({ type: 'task_state', state: 'running', phase: 'starting', attempt: 1 });
  await terminal.shows('starting the agent');
  for (const size of [
    { cols: 18, rows: 2 },
    { cols: 18, rows: 1 },
    { cols: 55, rows: 7 },
  ]) {
    terminal.resize(size);
    await terminal.redrawn();
  }
  await end();
  expect(await terminal.exited).toBe(0);
  expect((await terminal.lines()).join('\n')).not.toMatch(/starting/);
  expect(terminal.clearedFromTop).toBe(0);
  await terminal.close();
});

test('Ctrl-Z stops the command, and fg shows the task again', async () => {
  const { terminal, message, say, end } = await run('pause me', { cols: 80, rows: 24 }, 'bash');
  await say(delta(message, 'Before'));
  await terminal.shows('Before');
  terminal.type('\u001a');
  await terminal.shows('Stopped');
  terminal.type('stty -a | grep -ow -e -echo -e echo; fg\r');
  await say(delta(message, ' and after\n'));
  await terminal.shows('Before and after');
  await end();
  await until('the prompt after the end', async () =>
    /completed[^]*your turn>$/.test((await terminal.rows()).join('\n').trim()),
  );
  terminal.type('exit 7\r');
  expect(await terminal.exited).toBe(7);
  const lines = (await terminal.lines()).join('\n');
  expect(lines, lines).toMatch(/^echo$/m);
  expect(lines.match(/Before and after/g)).toHaveLength(1);
  await terminal.close();
});
