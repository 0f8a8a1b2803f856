/** The recording of a task's terminal over HTTP. */
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

const HEADER = JSON.stringify({ version: 2, width: 120, height: 30 });
const castOf = (...texts: string[]): string =>
  [HEADER, ...texts.map((text, at) => JSON.stringify([at, 'o', text]))].map((line) => `${line}\n`).join('');

async function taskWith(...recordings: readonly Buffer[]): Promise<string> {
  const id = randomUUID();
  await server.sql`INSERT INTO tasks (id, input, agent, state) VALUES (${id}, 'x', 'demo', 'completed')`;
  for (const [index, cast] of recordings.entries())
    await server.sql`INSERT INTO recordings (task_id, name, cast_gzip) VALUES (${id}, ${`${index}.cast.gz`}, ${cast})`;
  return id;
}

const pathOf = (id: string, query = ''): string => `/api/tasks/${id}/recording${query}`;

/** fetch decompresses by itself. */
function raw(id: string, encoding: string): Promise<{ encoding: string | undefined; bytes: Buffer }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${server.token}`, 'accept-encoding': encoding };
    request(`${server.url}${pathOf(id)}`, { headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ encoding: response.headers['content-encoding'], bytes: Buffer.concat(chunks) }),
      );
    })
      .on('error', reject)
      .end();
  });
}

test('it is an asciicast with the count of recordings; the last is the default, a number selects another', async () => {
  const [one, two] = [castOf('one'), castOf('two')];
  const id = await taskWith(gzipSync(one), gzipSync(two));
  const last = await server.get(pathOf(id));
  expect(last).toMatchObject({ status: 200, text: two });
  expect(last.headers.get('content-type')).toMatch(/^application\/x-asciicast(;|$)/);
  expect(last.headers.get('x-recordings')).toBe('2');
  expect(await server.get(pathOf(id, '?number=1'))).toMatchObject({ status: 200, text: one });
});

test.each([
  ['gzip, deflate, br', true],
  ['deflate, gzip;q=0.5', true],
  ['*', false],
  ['gzip;q=0', false],
  ['identity', false],
])('to a client that accepts %s it is compressed: %s', async (accepted, isCompressed) => {
  const cast = castOf('漢字');
  const { encoding, bytes } = await raw(await taskWith(gzipSync(cast)), accepted);
  expect(encoding).toBe(isCompressed ? 'gzip' : undefined);
  expect((isCompressed ? gunzipSync(bytes) : bytes).toString('utf8')).toBe(cast);
});

test.each([
  ['an empty one', [], 0],
  ['one of 8 MB', Array.from({ length: 8 }, (_, at) => String.fromCharCode(97 + at).repeat(1024 * 1024)), 0],
  ['one that a kill cut off, as far as it goes', ['whole'], 12],
])('%s', async (_size, texts, cut) => {
  const cast = castOf(...texts);
  const bytes = gzipSync(cast);
  const { status, text } = await server.get(pathOf(await taskWith(bytes.subarray(0, bytes.length - cut))));
  expect(status).toBe(200);
  if (cut === 0) expect(text === cast).toBe(true);
  else expect(cast.startsWith(text)).toBe(true);
});

test('404 for a task without one, for a number that it does not have and for an unknown task; 400 for no number', async () => {
  const id = await taskWith(gzipSync(castOf('one')));
  const missing = { status: 404, body: { error_code: 'recording_not_found' } };
  expect(await server.get(pathOf(id, '?number=2'))).toMatchObject(missing);
  expect(await server.get(pathOf(await taskWith()))).toMatchObject(missing);
  expect(await server.get(pathOf(randomUUID()))).toMatchObject({ status: 404 });
  for (const number of ['0', '-1', 'x', '10001'])
    expect(await server.get(pathOf(id, `?number=${number}`))).toMatchObject({ status: 400 });
});
