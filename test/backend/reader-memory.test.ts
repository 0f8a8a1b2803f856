import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { FrameHub } from '../../frames/follow.ts';
import { freshDatabase } from '../lab/database.ts';
import { socketServer } from '../lab/frame-socket.ts';
import { append, delta, labSession } from '../lab/log.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heldMb(): Promise<number> {
  // What a callback of the last turn of the loop still has goes with the next.
  for (let n = 0; n < 3; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    collectGarbage();
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1024 / 1024;
}

/** About a page, which each reader reads for itself as it comes. */
const FRAMES = 20;
const TEXT = 'x'.repeat(40_000);
const READERS = 40;

test('readers that have caught up hold no frames in memory while they wait', async () => {
  const database = await freshDatabase();
  const hub = new FrameHub(database.sql);
  const server = await socketServer(hub);
  const message = await labSession(database.sql);
  await append(
    database.sql,
    message,
    Array.from({ length: FRAMES }, () => delta(message, TEXT)),
  );
  const readers: WebSocket[] = [];
  const read = async (): Promise<void> => {
    const socket = new WebSocket(`${server.url}/api/sessions/${message.sessionId}/frames?after=0`);
    readers.push(socket);
    await once(socket, 'message');
  };
  // What the first one needs for itself, and loads, is not counted.
  await read();
  const before = await heldMb();
  for (let n = 0; n < READERS; n += 1) await read();
  const after = await heldMb();
  // Each page is 0.8 MB as text, and again as bytes.
  expect(after - before).toBeLessThan(10);
  for (const socket of readers) socket.terminate();
  await server.close();
  await hub.close();
  await database.drop();
});
