/** The path `pty` from a row to its end, in a database that had exactly the tables of an old backend. */
import { chmod, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { getRecording } from '../../client/recordings.ts';
import type { ProjectId, TaskId } from '../../contract/ids.ts';
import { removeTaskRow } from '../../store/remove-task.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { streamedText } from '../lab/observer.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab({ oldTables: true });
  await lab.startWorker();
});
afterAll(() => lab.close());

/** Lists an agent without ACP whose program is this shell script; `$1` is the prompt. */
async function listAgent(name: string, script: string): Promise<string> {
  const file = path.join(lab.home, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  await lab.sql`INSERT INTO available_agents (name, supports_acp, install_path) VALUES (${name}, false, ${file})`;
  return name;
}

async function answerOf(task: TaskId): Promise<string | undefined> {
  return (await lab.messages(task)).find(({ role }) => role === 'assistant')?.content;
}

test('a listed agent without ACP works in a terminal; its edits are the change, its output the message', async () => {
  const agent = await listAgent('writer', 'test -t 1 && echo "$1" > note.txt && echo "I wrote: $1"');
  const task = await lab.submit({ input: 'a note for the next person who reads this', agent });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'completed', error_code: null });
  expect(ended.output_summary).toContain('I wrote: a note for the next person');
  expect(await lab.inChange(task, 'note.txt')).toBe('a note for the next person who reads this');

  const [row] = await lab.sql`
    SELECT t.execution_path, t.cost_tokens, s.name AS session, s.status, c.name AS chat, c.status AS chat_status
      FROM tasks t JOIN sessions s ON s.id = t.session_id JOIN chats c ON c.session_id = s.id WHERE t.id = ${task}`;
  expect(row).toEqual({
    execution_path: 'pty',
    cost_tokens: null,
    session: 'Task [writer]: a note for the next person who',
    status: 'open',
    chat: 'External agent execution',
    chat_status: 'open',
  });
  const messages = await lab.messages(task);
  expect(messages.map(({ role, status, content }) => ({ role, status, content }))).toEqual([
    { role: 'user', status: 'complete', content: 'a note for the next person who reads this' },
    { role: 'assistant', status: 'complete', content: 'I wrote: a note for the next person who reads this' },
  ]);
  expect(await lab.leftovers(task)).toEqual([]);
});

test.each([
  ['standard error only', 'echo "only this" >&2', 'only this'],
  ['nothing', 'true', '(no output)'],
])('of a program that prints %s', async (_title, script, text) => {
  const agent = await listAgent(`prints-${text.length}`, script);
  const task = await lab.submit({ input: 'x', agent });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed', output_summary: text });
  expect(await answerOf(task)).toBe(text);
});

test('the limits of an old backend: 50,000 characters of a message, 500 of a summary', async () => {
  const agent = await listAgent(
    'long',
    'i=0; while [ $i -lt 1500 ]; do echo "$i 漢字 0123456789 0123456789 0123456789 0123456789"; i=$((i+1)); done',
  );
  const task = await lab.submit({ input: 'x', agent });
  const ended = await lab.ended(task);
  expect(ended.state).toBe('completed');
  expect(ended.output_summary?.length).toBeLessThanOrEqual(500);
  expect(await answerOf(task)).toHaveLength(50_000);
  const frames = await lab.frames(task);
  expect(streamedText(frames).length).toBeGreaterThan(50_000);
});

test('an exit code other than 0 fails the task, once, with the last output; the edits are a partial change', async () => {
  const agent = await listAgent('fails', 'echo half > half.txt; echo "no such model: m9"; exit 3');
  const task = await lab.submit({ input: 'x', agent });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'failed', error_code: 'agent_failed' });
  expect(ended.output_summary).toBe('fails exited with code 3. Its last output: no such model: m9');
  expect(await lab.changes(task)).toMatchObject([{ partial: true }]);
  const attempts = await lab.sql`SELECT attempt FROM attempts WHERE task_id = ${task}`;
  expect(attempts).toHaveLength(1);
});

test('a question is answered by the policy of the task', async () => {
  const agent = await listAgent('asks', 'printf "Overwrite? [y/N] "; read answer < /dev/tty; echo "answer: $answer"');
  const allowed = await lab.submit({ input: 'x', agent });
  const denied = await lab.submit({ input: 'x', agent, permissionPolicy: 'deny' });
  expect(await lab.ended(allowed)).toMatchObject({ state: 'completed' });
  expect(await answerOf(allowed)).toContain('answer: y');
  expect(await lab.ended(denied)).toMatchObject({ state: 'completed' });
  expect(await answerOf(denied)).toContain('answer: n');
  const warnings = (await lab.frames(denied)).filter(({ type }) => type === 'warning');
  expect(warnings.map(({ body }) => body['message'])).toEqual([expect.stringContaining('Overwrite? [y/N]')]);
});

test('a cancel ends the program and keeps its edits', async () => {
  const agent = await listAgent('slow', 'echo early > early.txt; echo "at work"; sleep 1000 & sleep 1000');
  const task = await lab.submit({ input: 'x', agent });
  await lab.until('its words', async () => streamedText(await lab.frames(task)).includes('at work'));
  await lab.cancel(task);
  expect(await lab.ended(task)).toMatchObject({ state: 'cancelled' });
  expect(await lab.inChange(task, 'early.txt')).toBe('early');
  expect(await lab.leftovers(task)).toEqual([]);
});

test('the recording is stored with the task, read by number, and removed with it', async () => {
  const agent = await listAgent(
    'recorded',
    'printf "one\\n"; printf "Continue? [y/N] "; read answer < /dev/tty; echo two',
  );
  const task = await lab.submit({ input: 'x', agent });
  expect(await lab.ended(task)).toMatchObject({ state: 'completed' });
  const { count, cast } = await getRecording(lab, task);
  expect(count).toBe(1);
  const [header, ...events] = cast
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown[]);
  expect(header).toMatchObject({ version: 2, title: 'recorded' });
  const of = (code: string): string =>
    events
      .filter((event) => event[1] === code)
      .map((event) => event[2])
      .join('');
  expect(of('o')).toContain('one\r\nContinue? [y/N] ');
  expect(of('i')).toBe('y\r');
  expect((await getRecording(lab, task, 1)).cast).toBe(cast);
  await expect(getRecording(lab, task, 2)).rejects.toMatchObject({ code: 'recording_not_found' });
  expect(await readdir(path.join(lab.home, 'recordings'))).not.toContain(task);
  await lab.sql.begin((tx) => removeTaskRow(tx, task));
  expect(await lab.sql`SELECT FROM recordings WHERE task_id = ${task}`).toHaveLength(0);
});

test('a project without a path is refused with the words that backends know', async () => {
  const [project] = await lab.sql<{ id: ProjectId }[]>`INSERT INTO projects (name) VALUES ('nowhere') RETURNING id`;
  const agent = await listAgent('pathless', 'echo never');
  const task = await lab.submit({ input: 'x', agent, projectId: project?.id ?? lab.projectId });
  expect(await lab.ended(task)).toMatchObject({
    state: 'failed',
    error_code: 'project_has_no_path',
    output_summary: 'Project has no path — cannot create worktree',
  });
});

test('a listed agent whose program is missing is not installed', async () => {
  await lab.sql`INSERT INTO available_agents (name, supports_acp, install_path) VALUES ('gone', false, '/nowhere/gone')`;
  const task = await lab.submit({ input: 'x', agent: 'gone' });
  const ended = await lab.ended(task);
  expect(ended).toMatchObject({ state: 'failed', error_code: 'agent_not_installed' });
  expect(ended.output_summary).toContain('/nowhere/gone is not a program on this machine');
});
