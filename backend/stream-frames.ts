/**
 * Sends a session's log to one reader over a WebSocket. The next page is read only when the previous one was sent. So
 * the backend has at most one message of each reader in memory, and no reader waits for another one.
 *
 * Must never happen: a frame is left out or sent twice; a reader that does not read delays a task or another reader. A
 * reader that falls too far behind, or takes too long for a message, is closed with `tooSlow` and reconnects with its
 * cursor.
 */
import type { WebSocket } from '@fastify/websocket';
import type { FastifyBaseLogger } from 'fastify';
import type { Delivery, Longhaul } from '../client/connection.ts';
import type { SessionId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';

export interface SocketLimits {
  /** The time between two pings. A client that has not answered a ping by the next one is considered disconnected. */
  readonly pingMs: number;
  /** The time in which a client must take one message. */
  readonly takeMs: number;
}

export const SOCKET_LIMITS: SocketLimits = { pingMs: 20_000, takeMs: 60_000 };

/** The close codes of a WebSocket. docs/frames.md describes how a client reacts to each. */
export const CLOSES = {
  stopping: 1001,
  internalError: 1011,
  badRequest: 4400,
  noSuchSession: 4404,
  tooSlow: 4408,
  sessionDeleted: 4410,
} as const;

/** The most bytes that the reason in a close frame may have. */
const REASON_BYTES = 123;
/** A pong is sent only while at most this many bytes wait to be sent. */
const PONG_BELOW_BYTES = 64 * 1024;
/** `socket.OPEN` of the WebSocket standard. */
const OPEN = 1;
const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export interface SocketMetrics {
  /** The number of open WebSockets. */
  readonly sockets: { inc(): void; dec(): void };
  /** Seconds from the writing of a frame until it is handed to a socket, only of readers that have caught up. */
  readonly frameLag: { observe(seconds: number): void };
}

export interface StreamDeps {
  readonly hub: Pick<Longhaul['frames'], 'pages'>;
  readonly limits: SocketLimits;
  readonly metrics: SocketMetrics | undefined;
  readonly log: FastifyBaseLogger;
}

/** Resolves when the socket has closed. */
export async function streamFrames(
  socket: WebSocket,
  { sessionId, after }: { sessionId: SessionId; after: number | undefined },
  { hub, limits, metrics, log }: StreamDeps,
): Promise<void> {
  const closed = new AbortController();
  /** The `seq` that the client has once it has read everything that was sent. */
  let given = after;
  const end = (code: number, reason: string): void => {
    if (socket.readyState !== OPEN) return;
    log.info({ session: sessionId, code, reason }, 'socket closed');
    closeSocket(socket, code, reason);
    closed.abort();
  };
  const tooSlow = (): void => {
    const cursor = given === undefined ? '' : ` with after=${given}`;
    end(CLOSES.tooSlow, `too_slow: this reader takes frames more slowly than they come, reconnect${cursor}`);
  };
  const message = watch(socket, limits, tooSlow);
  metrics?.sockets.inc();
  socket.once('close', () => {
    metrics?.sockets.dec();
    closed.abort();
  });
  try {
    if (!UUID.test(sessionId)) throw new LonghaulError('session_not_found', `There is no session ${sessionId}.`);
    const cursor = after === undefined ? {} : { after };
    const pages = hub.pages({ sessionId, ...cursor, signal: closed.signal, onOvertaken: tooSlow });
    const pass = (delivery: Delivery): Promise<void> => {
      const page = delivery.take();
      if (delivery.live) metrics?.frameLag.observe(Math.max(0, Date.now() - page.writtenAt) / 1_000);
      return message(page.json());
    };
    for await (const delivery of pages) {
      given = delivery.last;
      await pass(delivery);
    }
    end(CLOSES.sessionDeleted, 'session_not_found: the session was deleted');
  } catch (error) {
    if (error instanceof LonghaulError && error.code === 'session_not_found') {
      return end(CLOSES.noSuchSession, `session_not_found: ${error.message}`);
    }
    log.error({ err: error, session: sessionId }, 'a reader of frames failed');
    end(CLOSES.internalError, 'internal_error: reconnect with your cursor');
  }
}

/**
 * Sends pings and enforces deadlines. Returns a function that sends a message. The function resolves when the message
 * was sent or the socket has closed. While a message is being sent, no ping is sent, because the client could not
 * answer the ping; the deadline of the message applies instead.
 */
function watch(socket: WebSocket, limits: SocketLimits, tooSlow: () => void): (data: Buffer) => Promise<void> {
  let answered = true;
  let sending = false;
  const markAlive = (): void => {
    answered = true;
  };
  const timer = setInterval(() => {
    if (sending) return;
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
  }, limits.pingMs);
  socket.on('pong', markAlive);
  socket.on('ping', (data) => socket.bufferedAmount < PONG_BELOW_BYTES && socket.pong(data));
  // The content of a client's messages is ignored, but each message shows that the client is connected.
  socket.on('message', markAlive);
  socket.on('error', () => {});
  socket.once('close', () => clearInterval(timer));
  return async (data) => {
    sending = true;
    const deadline = setTimeout(tooSlow, limits.takeMs);
    await new Promise<void>((resolve) => {
      socket.send(data, { binary: false }, () => resolve());
    });
    clearTimeout(deadline);
    sending = false;
  };
}

/** Starts the closing handshake. A reason of more than REASON_BYTES is cut. */
export function closeSocket(socket: WebSocket, code: number, reason: string): void {
  socket.close(code, Buffer.from(reason).subarray(0, REASON_BYTES).toString());
}
