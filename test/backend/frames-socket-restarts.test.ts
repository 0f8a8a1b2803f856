import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { FollowedFrame } from '../../frames/follow.ts';
import { FrameWriter } from '../../frames/writer.ts';
import type { Sql } from '../../store/sql.ts';
import type { SessionId } from '../../contract/ids.ts';
import { type BackendProcess, freePort, startBackendProcess } from '../lab/backend-process.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { FrameReader } from '../lab/frame-socket.ts';
import { delta, labSession, type LabMessage } from '../lab/log.ts';
import { expectNoHoles, logOf, openStream } from '../lab/turn.ts';
import { until } from '../lab/until.ts';

const FRAMES_PER_S = 200;
/** `FRAMES_TEST_SECONDS=60 npx vitest run test/backend/frames-socket-restarts.test.ts` is the long one. */
const SECONDS = Number(process.env['FRAMES_TEST_SECONDS'] ?? 12);
const KILLS = 5;
const TOKEN = 'a-token-of-this-test-that-is-long-enough';

let database: LabDatabase;
let sql: Sql;
let home: string;
let backend: BackendProcess | undefined;
beforeAll(async () => {
  database = await freshDatabase();
  ({ sql } = database);
  home = await mkdtemp(join(tmpdir(), 'longhaul-restarts-'));
  await writeFile(join(home, 'token'), TOKEN, { mode: 0o600 });
});
afterEach(() => backend?.kill());
afterAll(async () => {
  await database.drop();
  await rm(home, { recursive: true, force: true });
});

/** Reads as a program should: from its cursor, and again from there whenever the socket ends. */
class Reader {
  readonly frames: FollowedFrame[] = [];
  connections = 0;
  #current: FrameReader | undefined;
  #stopped = false;

  /** Frames of the connection that it has now. */
  get fresh(): number {
    return this.#current?.frames.length ?? 0;
  }

  get last(): number {
    return this.#current?.last || (this.frames.at(-1)?.seq ?? 0);
  }

  async run(url: string, sessionId: SessionId): Promise<void> {
    const stopped = (): boolean => this.#stopped;
    while (!stopped()) {
      this.#current = new FrameReader(url, sessionId, { after: this.last, token: TOKEN });
      await this.#current.closed;
      if (this.#current.frames.length > 0) this.connections += 1;
      this.frames.push(...this.#current.frames);
      this.#current = undefined;
      await delay(20); // as clients reconnect
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#current?.socket.close();
  }
}

/** As a turn does, until `stop`: one frame every 5 ms, in two kinds so that each stays a frame of its own. Says how many. */
async function write(message: LabMessage, stop: AbortSignal): Promise<number> {
  const stream = await openStream(sql, new FrameWriter(sql), message);
  const { messageId: message_id, chatId: chat_id } = message;
  const began = performance.now();
  let i = 0;
  for (; !stop.aborted; i += 1) {
    const content = `${i} `;
    stream.append(i % 2 === 0 ? delta(message, content) : { type: 'reasoning_delta', message_id, chat_id, content });
    await delay(began + ((i + 1) * 1_000) / FRAMES_PER_S - performance.now());
  }
  await stream.flush();
  return i;
}

test(
  'a client ends with exactly the log, through five kills of the backend at 200 frames a second',
  { timeout: 240_000 },
  async () => {
    const message = await labSession(sql);
    const places = { databaseUrl: database.url, home, port: await freePort() };
    backend = await startBackendProcess(places);
    const reader = new Reader();
    const reading = reader.run(`ws://127.0.0.1:${places.port}`, message.sessionId);
    const stop = new AbortController();
    const writing = write(message, stop.signal);
    const between = (FRAMES_PER_S * SECONDS) / (KILLS + 1);
    for (let kill = 1; kill <= KILLS; kill += 1) {
      await until(`the frames before kill ${kill}`, () => reader.fresh >= between, 120_000);
      await backend.kill();
      backend = await startBackendProcess(places);
    }
    await until('the frames after the last kill', () => reader.fresh >= between, 120_000);
    stop.abort();
    const total = await writing;
    await until('the last frame', () => reader.last >= total);
    reader.stop();
    await reading;
    expect(await expectNoHoles(sql, message.sessionId)).toBe(total);
    const log = await logOf(sql, message.sessionId);
    const { sessionId: session_id, taskId: task_id } = message;
    const expected = log.map(({ seq, body }) => ({
      ...body,
      session_id,
      task_id,
      seq,
      at: expect.any(String) as string,
    }));
    expect(reader.frames).toEqual(expected);
    expect(reader.connections).toBe(KILLS + 1);
  },
);
