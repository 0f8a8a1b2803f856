/** A server that runs and does not answer in time is busy, which is something else than stopped. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { waitWhileBusy } from '../../client/health.ts';
import { connect, type Sql } from '../../store/sql.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { type TcpProxy, tcpProxy } from '../lab/tcp-proxy.ts';

let database: LabDatabase;
let proxy: TcpProxy;
let sql: Sql;
beforeEach(async () => {
  database = await freshDatabase();
  proxy = await tcpProxy(database.url);
  sql = connect(proxy.url, { max: 3 });
});
afterEach(async () => {
  await sql.end({ timeout: 1 });
  await proxy.close();
  await database.drop();
});

const PID = 4711;

test('a late response is waited for, and the wait is announced once', async () => {
  const announced: number[] = [];
  proxy.loseAnswers();
  const onBusy = (pid: number): void => {
    announced.push(pid);
    proxy.cut();
  };
  expect(await waitWhileBusy(sql, { findServer: async () => PID, onBusy })).toBeUndefined();
  expect(announced).toEqual([PID]);
});

test('a server that runs and does not respond within the bound is busy', async () => {
  proxy.loseAnswers();
  expect(await waitWhileBusy(sql, { findServer: async () => PID, onBusy: () => {}, timeoutMs: 0 })).toBe(PID);
});

test('a server that does not run is not waited for', async () => {
  await proxy.refuse();
  const onBusy = (): void => expect.fail('nothing is there to wait for');
  expect(await waitWhileBusy(sql, { findServer: async () => undefined, onBusy })).toBeUndefined();
});
