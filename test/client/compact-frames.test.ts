import { afterAll, beforeAll, expect, test } from 'vitest';
import { keepCompacting } from '../../client/compact-frames.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { labSession } from '../lab/log.ts';
import { until } from '../lab/until.ts';

let database: LabDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
});
afterAll(() => database.drop());

interface Said {
  readonly level: 'info' | 'error';
  readonly fields: object;
}

function keep(pool: Sql): { said: Said[]; stop: () => Promise<void> } {
  const said: Said[] = [];
  const log = {
    info: (fields: object) => said.push({ level: 'info', fields }),
    error: (fields: object) => said.push({ level: 'error', fields }),
  };
  const abort = new AbortController();
  const ended = keepCompacting({ sql: pool, log, signal: abort.signal });
  const stop = async (): Promise<void> => {
    abort.abort();
    await ended;
  };
  return { said, stop };
}

test('a backend that starts compacts existing logs, reports it, and stops on request', async () => {
  const { sessionId, messageId, chatId } = await labSession(sql);
  const body = JSON.stringify({ message_id: messageId, chat_id: chatId, content: 'x' });
  await sql`INSERT INTO frames (session_id, seq, type, body, at)
            SELECT ${sessionId}, n, 'delta', ${body}::text::jsonb, now() - interval '1 hour' FROM generate_series(1, 10) n`;
  await sql`UPDATE sessions SET seq = 10 WHERE id = ${sessionId}`;
  await sql`UPDATE messages SET status = 'complete', content = 'x', finished_at = now() - interval '61 s' WHERE id = ${messageId}`;
  const { said, stop } = keep(sql);
  await until('the news', () => said.length > 0);
  expect(said).toEqual([{ level: 'info', fields: { sessions: 1, frames: 10 } }]);
  expect(await sql`SELECT FROM frames WHERE session_id = ${sessionId}`).toHaveLength(0);
  await stop();
});

test('while Postgres is unavailable it reports nothing and continues', async () => {
  const nowhere = connect('postgres://longhaul@127.0.0.1:1/longhaul');
  let asked = 0;
  const counting = new Proxy(nowhere, {
    get: (target, key) => {
      if (key === 'begin') asked += 1;
      return Reflect.get(target, key) as unknown;
    },
  });
  const { said, stop } = keep(counting);
  await until('the first round', () => asked > 0);
  await stop();
  expect(said).toEqual([]);
  await nowhere.end({ timeout: 0 });
});
