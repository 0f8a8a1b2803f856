/**
 * `WS /sessions/:id/frames?after=`: a session's log over a socket, each message a JSON array of frames. docs/frames.md
 * describes the guarantees for clients.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import websocket, { type WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { z } from 'zod';
import type { Longhaul } from '../client/connection.ts';
import type { SessionId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { framesMessage } from './frame-schemas.ts';
import { problemMessage, sendProblem } from './problem.ts';
import { id, problemDocument, problems } from './schemas.ts';
import {
  closeSocket,
  CLOSES,
  SOCKET_LIMITS,
  type SocketLimits,
  type SocketMetrics,
  streamFrames,
} from './stream-frames.ts';

export interface FrameSocketDeps {
  readonly longhaul: Pick<Longhaul, 'frames'>;
  readonly metrics?: SocketMetrics;
  readonly limits?: SocketLimits;
}

/** The protocol's name. A client may send a token as a second protocol. */
const PROTOCOL = 'longhaul.frames';

const SOCKET_OPTIONS = {
  /** Bytes. Messages of a client are not read: a longer message ends its socket (1009). */
  maxPayload: 4 * 1024,
  /** This server sends pongs itself: a client that pings and does not read must not fill our memory. */
  autoPong: false,
  /** Milliseconds for a client to take its last message and the close frame after it. The types do not have it yet. */
  closeTimeout: 10_000,
  /** A browser disconnects if the server chooses none of its protocols. The one with the token is chosen only if it is the only one. */
  handleProtocols: (offered: Set<string>) => (offered.has(PROTOCOL) ? PROTOCOL : ([...offered].at(0) ?? false)),
};
/** For the clients' half of the closing handshake, when the backend stops. */
const CLOSE_HANDSHAKE_MS = 1_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A WebSocket: a handshake for any other route is refused. */
    readonly socket?: boolean;
  }
}

/**
 * To be called on the root, before any route. At the end of the server each socket is closed with 1001. `handshakes`:
 * the server that emits the handshakes; default: the HTTP server itself.
 */
export function acceptSockets(server: FastifyInstance, handshakes?: Server): void {
  let stopping = false;
  // Before the plugin's own hook, which would close without a reason and not wait.
  server.addHook('preClose', async () => {
    stopping = true;
    await Promise.all([...server.websocketServer.clients].map(closeForStop));
  });
  void server.register(websocket, {
    options: { ...SOCKET_OPTIONS, ...(handshakes && { server: handshakes }) },
    errorHandler: onSocketError,
  });
  server.addHook('onReady', async () => {
    server.websocketServer.on('connection', (socket: WebSocket) => {
      if (stopping) void closeForStop(socket);
    });
    // A request that Fastify accepts and that is no handshake: another version, no key.
    server.websocketServer.on('wsClientError', (error: Error, socket: Socket) => {
      const wrong = new LonghaulError('invalid_input', `This is no WebSocket handshake: ${error.message}.`);
      socket.end(problemMessage(wrong, server.log, { 'sec-websocket-version': '13' }));
    });
  });
}

/** To be called behind the access rules. */
export const refuseStrayHandshakes: onRequestHookHandler = (request, reply, done) => {
  // Node's own mark; `request.ws` is there later.
  const isHandshake = 'upgrade' in request.raw && request.raw.upgrade === true;
  if (!isHandshake || request.routeOptions.config.socket || request.is404) return done();
  void sendProblem(
    reply,
    new LonghaulError('invalid_input', `${request.url.split('?', 1)[0]} is no WebSocket: expected a handshake at /api/sessions/<session id>/frames.`), // prettier-ignore
  );
};

/** `ws` closes a socket whose client violates the protocol, with the code for it: like a broken connection, that is no error of the backend. */
function onSocketError(error: Error, socket: WebSocket, request: FastifyRequest): void {
  const code = 'code' in error ? String(error.code) : '';
  if (/^(WS_ERR_|ECONN|EPIPE|ETIMEDOUT)/.test(code)) return request.log.info({ code }, `socket: ${error.message}`);
  request.log.error({ err: error }, 'a socket failed');
  socket.terminate();
}

async function closeForStop(socket: WebSocket): Promise<void> {
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => socket.terminate(), CLOSE_HANDSHAKE_MS);
    socket.once('close', () => {
      clearTimeout(late);
      resolve();
    });
    closeSocket(socket, CLOSES.stopping, 'the backend stops: reconnect with your cursor');
  });
}

/** OpenAPI cannot describe sockets: the document has the messages as the response 101. */
const socketSchema = {
  operationId: 'followFrames',
  summary: "A session's frames over a WebSocket",
  description:
    'A WebSocket handshake. Each message from the backend is a JSON array of frames, the schema of 101; nothing that a client sends is read. Without `after` the first frame is a snapshot. docs/frames.md says how a socket ends.',
  tags: ['sessions'],
  params: z.object({ id }),
  querystring: z.object({
    after: z.int().min(0).optional().describe('The number of the last frame that the reader has.'),
  }),
  response: {
    101: { description: 'Frames follow.', content: { 'application/json': { schema: framesMessage } } },
    ...problems(),
    426: problemDocument('A plain request.'),
  },
};

interface Asked {
  readonly Params: { readonly id: string };
  readonly Querystring: { readonly after?: string | readonly string[] };
}

/** On the part of the server that has the prefix and the access rules. */
export function frameSockets(
  app: FastifyInstance,
  { longhaul, metrics, limits = SOCKET_LIMITS }: FrameSocketDeps,
): void {
  app.route<Asked>({
    method: 'GET',
    url: '/sessions/:id/frames',
    schema: socketSchema,
    // The schema only documents: a wrong handshake is reported by a close code, which a browser can read.
    validatorCompiler: () => (value: unknown) => ({ value }),
    serializerCompiler: () => (value) => JSON.stringify(value),
    config: { socket: true },
    handler: (_request, reply) => {
      void reply.header('upgrade', 'websocket');
      return sendProblem(reply, new LonghaulError('invalid_input', 'This is a WebSocket: connect with ws://.'), { status: 426 }); // prettier-ignore
    },
    // Listeners are attached before the first await: a client may send at once.
    wsHandler: (socket, request) => {
      const after = cursorOf(request.query.after);
      const wrong = Object.keys(request.query).some((name) => name !== 'after')
        ? 'unknown parameter; known: after'
        : after === 'wrong' && 'after is expected to be a number of a frame, 0 or above';
      if (after === 'wrong' || wrong !== false) {
        socket.on('error', () => {});
        return closeSocket(socket, CLOSES.badRequest, `invalid_input: ${wrong}`);
      }
      const sessionId = request.params.id.toLowerCase() as SessionId;
      void streamFrames(socket, { sessionId, after }, { hub: longhaul.frames, limits, metrics, log: request.log });
    },
  });
}

/** A browser cannot read why a handshake was refused: a close code reports it. */
function cursorOf(text: string | readonly string[] | undefined): number | undefined | 'wrong' {
  if (text === undefined) return undefined;
  const cursor = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(cursor) ? cursor : 'wrong';
}
