/**
 * `WS /sessions/:id/frames?after=`: a session's log over a socket, each message a JSON array of frames. docs/frames.md
 * says what a client may rely on.
 */
import websocket, { type WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifySchema } from 'fastify';
import type { Longhaul } from '../client/connection.ts';
import type { SessionId } from '../workflows/contract.ts';
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

/** What a client asks for by name, beside what it may bring in a protocol's place. */
const PROTOCOL = 'longhaul.frames';

const SOCKET_OPTIONS = {
  /** Bytes. Nothing that a client says is read: a longer message ends its socket (1009). */
  maxPayload: 4 * 1024,
  /** Pongs are ours to give: a client that pings and does not read must not fill our memory. */
  autoPong: false,
  /** Milliseconds for a client to take its last message and the closing frame behind it. The types do not know it yet. */
  closeTimeout: 10_000,
  /** A browser breaks off if none of its protocols is chosen. One that holds a secret is chosen only if it is alone. */
  handleProtocols: (offered: Set<string>) => (offered.has(PROTOCOL) ? PROTOCOL : ([...offered].at(0) ?? false)),
};
/** For the clients' half of the closing handshake, when the backend stops. */
const GOODBYE_MS = 1_000;

/**
 * To be called on the root, before any route: there it answers, and ends, a handshake for any other route, too. At the
 * end of the server each socket is closed with 1001.
 */
export function acceptSockets(server: FastifyInstance): void {
  let stopping = false;
  // Before the plugin's own hook, which would close without a word and not wait.
  server.addHook('preClose', async () => {
    stopping = true;
    await Promise.all([...server.websocketServer.clients].map(sayGoodbye));
  });
  void server.register(websocket, { options: SOCKET_OPTIONS });
  server.addHook('onReady', async () => {
    server.websocketServer.on('connection', (socket: WebSocket) => {
      if (stopping) void sayGoodbye(socket);
    });
  });
}

async function sayGoodbye(socket: WebSocket): Promise<void> {
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => socket.terminate(), GOODBYE_MS);
    socket.once('close', () => {
      clearTimeout(late);
      resolve();
    });
    closeSocket(socket, CLOSES.stopping, 'the backend stops: come back with your cursor');
  });
}

interface Asked {
  readonly Params: { readonly id: string };
  readonly Querystring: { readonly after?: string | readonly string[] };
}

/** On the part of the server that has the prefix and the access rules. */
export function frameSockets(
  app: FastifyInstance,
  { longhaul, metrics, limits = SOCKET_LIMITS }: FrameSocketDeps,
): void {
  // OpenAPI has no words for sockets.
  const schema: FastifySchema & { readonly hide: boolean } = { hide: true };
  app.route<Asked>({
    method: 'GET',
    url: '/sessions/:id/frames',
    schema,
    handler: (_request, reply) => {
      void reply.header('upgrade', 'websocket').code(426).type('application/problem+json');
      return { type: 'about:blank', title: 'Upgrade Required', status: 426, error_code: 'invalid_input', detail: 'This is a WebSocket: connect with ws://.' }; // prettier-ignore
    },
    // Listeners are attached before it gives way: a client may speak at once.
    wsHandler: (socket, request) => {
      const after = cursorOf(request.query.after);
      if (after === 'wrong') {
        socket.on('error', () => {});
        return closeSocket(
          socket,
          CLOSES.badRequest,
          'invalid_input: after is expected to be a number of a frame, 0 or above',
        );
      }
      const sessionId = request.params.id.toLowerCase() as SessionId;
      void streamFrames(socket, { sessionId, after }, { hub: longhaul.frames, limits, metrics, log: request.log });
    },
  });
}

/** A browser cannot see why a handshake was refused: what is wrong is told by a close code. */
function cursorOf(text: string | readonly string[] | undefined): number | undefined | 'wrong' {
  if (text === undefined) return undefined;
  const cursor = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(cursor) ? cursor : 'wrong';
}
