/** The requests of docs/rest.md, sent as they stand there; and its codes, as the program has them. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Elicitation, elicitationOptions } from '../../contract/elicitation.ts';
import { statusOf } from '../../backend/problem.ts';
import { isErrorCode } from '../../contract/errors.ts';
import { labSession } from '../lab/log.ts';
import { type LabServer, startServer } from '../backend/lab.ts';

let server: LabServer;
let page: string;
beforeAll(async () => {
  server = await startServer();
  page = await readFile(new URL('../../docs/rest.md', import.meta.url), 'utf8');
});
afterAll(() => server.close());

interface Example {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

function examples(): Example[] {
  return [...page.matchAll(/^curl "\$URL(\S+)" -H "\$AUTH"(.*)$/gm)].map(([, path = '', rest = '']) => ({
    path,
    headers: Object.fromEntries(
      [...rest.matchAll(/-H '([\w-]+): ([^']*)'/g)].map(([, name = '', value = '']) => [name.toLowerCase(), value]),
    ),
    body: /-d '([^']*)'/.exec(rest)?.[1],
  }));
}

test('each request of the page gets the described response', async () => {
  const message = await labSession(server.sql);
  const [change] = await server.sql<
    { id: string }[]
  >`INSERT INTO pending_changes (task_id, patch) VALUES (${message.taskId}, '') RETURNING id`;
  const [permission] = await server.sql<{ id: string }[]>`
    INSERT INTO permissions (id, task_id, session_id, options)
    VALUES (gen_random_uuid(), ${message.taskId}, ${message.sessionId}, '[{"option_id":"o","name":"Yes","kind":"allow_once"}]') RETURNING id`;
  const fields = ['name', 'size'].map((name) => ({
    name,
    type: name === 'size' ? 'integer' : 'string',
    required: true,
  }));
  const elicitation = { mode: 'form', message: 'Who?', fields };
  const [form] = await server.sql<{ id: string }[]>`
    INSERT INTO permissions (id, task_id, session_id, kind, options, elicitation)
    VALUES (gen_random_uuid(), ${message.taskId}, ${message.sessionId}, 'elicitation',
      ${server.sql.json(elicitationOptions(elicitation as Elicitation) as never)}, ${server.sql.json(elicitation)}) RETURNING id`;
  const { body: project } = await server.post('/api/projects', { path: server.repository });
  await server.sql`UPDATE sessions SET project_id = ${String(project['id'])}`;
  const values: Record<string, string> = {
    '/home/me/shop': server.repository,
    $TASK: message.taskId,
    $SESSION: message.sessionId,
    $CHANGE: change?.id ?? '',
    $PERMISSION: permission?.id ?? '',
    $FORM: form?.id ?? '',
    $PROJECT: String(project['id']),
    $MESSAGES_BEFORE: Buffer.from(`9000000000000000 ${message.messageId}`).toString('base64url'),
  };
  const here = (text: string): string =>
    Object.entries(values).reduce((all, [name, value]) => all.replaceAll(name, value), text);
  const found = examples();
  expect(found.length).toBeGreaterThanOrEqual(12);
  for (const { path, headers, body } of found) {
    const answer = await (body === undefined ? server.get(here(path)) : server.post(here(path), here(body), headers));
    // No worker runs here, and an action on a change needs one (`workflows/apply` has it).
    const described = /\/(apply|undo)$/.test(path)
      ? [503, expect.stringContaining('No worker has run') as string]
      : [expect.toSatisfy((status: number) => status < 300), undefined];
    expect([path, answer.status, answer.body['detail']]).toEqual([path, ...described]);
  }
});

test('each error code of the table exists and has that status', () => {
  const rows = [...page.matchAll(/^\| (\d{3}(?:, \d{3})*) \| (.*) \|$/gm)];
  expect(rows.length).toBeGreaterThan(8);
  for (const [, statuses = '', text = ''] of rows) {
    const codes = [...text.matchAll(/`([a-z_]+)`/g)].map((match) => match[1]).filter(isErrorCode);
    expect(codes.length).toBeGreaterThan(0);
    for (const code of codes)
      expect([code, statuses.split(', ')]).toEqual([code, expect.arrayContaining([String(statusOf(code))])]);
  }
});
