/**
 * `WS /sessions/:id/frames?after=`: sends a session's log over a WebSocket. Each message is a JSON array of frames.
 * docs/frames.md describes the guarantees for clients.
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

/** The WebSocket subprotocol. A client may send the token as a second subprotocol. */
const PROTOCOL = 'longhaul.frames';

const SOCKET_OPTIONS = {
  /**
   * The maximum size of a client's message, in bytes. A longer message closes the socket (1009), because the server
   * does not use the content of messages.
   */
  maxPayload: 4 * 1024,
  /** stream-frames.ts sends the pongs: a client that pings and does not read must not fill our memory. */
  autoPong: false,
  /**
   * How long a client may take for its last message and the close frame after it, in ms. The types of `ws` lack this
   * option.
   */
  closeTimeout: 10_000,
  /**
   * A browser disconnects if the server chooses none of the offered protocols. The one with the token is chosen only if
   * the client offers no other.
   */
  handleProtocols: (offered: Set<string>) => (offered.has(PROTOCOL) ? PROTOCOL : ([...offered].at(0) ?? false)),
};
/** How long a stopping backend waits for the clients' half of the closing handshake. */
const CLOSE_HANDSHAKE_MS = 1_000;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True if the route is a WebSocket. A handshake for any other route is refused. */
    readonly socket?: boolean;
  }
}

/**
 * Lets the server accept WebSockets; must be called on the root, before any route is registered. When the server
 * closes, each socket is closed with 1001. `handshakes` is the server that emits the handshakes, by default the HTTP
 * server itself.
 */
export function acceptSockets(server: FastifyInstance, handshakes?: Server): void {
  let stopping = false;
  // Must be registered before the plugin's own hook, which would close the sockets without a reason and not wait for
  // them.
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
    // Fastify accepts some requests that are no valid handshake, for instance with another version or without a key.
    server.websocketServer.on('wsClientError', (error: Error, socket: Socket) => {
      const wrong = new LonghaulError('invalid_input', `This is no WebSocket handshake: ${error.message}.`);
      socket.end(problemMessage(wrong, server.log, { 'sec-websocket-version': '13' }));
    });
  });
}

/** Refuses a handshake for a route that is no WebSocket. The hook must be registered after the access rules. */
export const refuseStrayHandshakes: onRequestHookHandler = (request, reply, done) => {
  // Node sets this property; `request.ws` is set only later.
  const isHandshake = 'upgrade' in request.raw && request.raw.upgrade === true;
  if (!isHandshake || request.routeOptions.config.socket || request.is404) return done();
  void sendProblem(
    reply,
    new LonghaulError('invalid_input', `${request.url.split('?', 1)[0]} is no WebSocket: expected a handshake at /api/sessions/<session id>/frames.`), // prettier-ignore
  );
};

/**
 * `ws` closes a socket whose client violates the protocol, with the code for the violation. Like a broken connection,
 * this is no error of the backend.
 */
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

/** OpenAPI cannot describe WebSockets, so the document has the messages as the response 101. */
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

/** Registers the WebSocket route on the part of the server that has the prefix and the access rules. */
export function frameSockets(
  app: FastifyInstance,
  { longhaul, metrics, limits = SOCKET_LIMITS }: FrameSocketDeps,
): void {
  app.route<Asked>({
    method: 'GET',
    url: '/sessions/:id/frames',
    schema: socketSchema,
    // The schema is only for the OpenAPI document, so it accepts every query. A wrong handshake is reported by a close
    // code, because a browser cannot read an HTTP response to it.
    validatorCompiler: () => (value: unknown) => ({ value }),
    serializerCompiler: () => (value) => JSON.stringify(value),
    config: { socket: true },
    handler: (_request, reply) => {
      void reply.header('upgrade', 'websocket');
      return sendProblem(reply, new LonghaulError('invalid_input', 'This is a WebSocket: connect with ws://.'), { status: 426 }); // prettier-ignore
    },
    // Listeners are attached before the first await, because a client may send at once.
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

/**
 * Returns `wrong` for an invalid cursor. A close code reports it, because a browser cannot read why a handshake was
 * refused.
 */
function cursorOf(text: string | readonly string[] | undefined): number | undefined | 'wrong' {
  if (text === undefined) return undefined;
  const cursor = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(cursor) ? cursor : 'wrong';
}
