import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPostgres, stopPostgres } from '../../services/postgres/postgres.ts';
import { listen } from '../../store/listen.ts';
import { connect } from '../../store/sql.ts';

test('a listener receives again after an outage of Postgres, and reports the interruption', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'longhaul-listen-'));
  const options = { dir: join(dir, 'postgres'), logFile: join(dir, 'postgres.log') };
  let running = await startPostgres(options);
  const sql = connect(running.url);
  const heard: string[] = [];
  let listening = 0;
  const listener = listen(sql, {
    channels: ['one', 'two'],
    onNotify: (channel, payload) => heard.push(`${channel} ${payload}`),
    onListening: () => (listening += 1),
  });
  try {
    await listener.listening;
    await sql`SELECT pg_notify('one', 'a'), pg_notify('other', 'x')`;
    await expect.poll(() => heard).toEqual(['one a']);
    for (let restarts = 1; restarts <= 2; restarts++) {
      await stopPostgres(running.identity);
      running = await startPostgres({ ...options, port: running.port });
      await expect.poll(() => listening).toBeGreaterThan(restarts);
    }
    await sql`SELECT 1`.catch(() => undefined); // the pool's connection learns that it died
    await sql`SELECT pg_notify('two', 'b')`;
    await expect.poll(() => heard).toEqual(['one a', 'two b']);
  } finally {
    await listener.close();
    await sql.end({ timeout: 1 });
    await stopPostgres(running.identity);
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
});
