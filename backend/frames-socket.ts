/** `WS /sessions/:id/frames?after=`: a session's log over a socket, each message a JSON array of frames. */
import websocket, { type WebSocket } from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import type { Longhaul } from '../client/connection.ts';
import type { SessionId } from '../workflows/contract.ts';

export interface FrameSocketDeps {
  readonly longhaul: Pick<Longhaul, 'frames'>;
}

/** Of a client's message: nothing that it says is read. */
const MAX_PAYLOAD_BYTES = 4 * 1024;

/** On the root, so that a handshake for any other route is answered and ended, too. */
export function acceptSockets(server: FastifyInstance): void {
  void server.register(websocket, { options: { maxPayload: MAX_PAYLOAD_BYTES } });
}

interface Asked {
  readonly Params: { readonly id: string };
  readonly Querystring: { readonly after?: string };
}

export function frameSockets(app: FastifyInstance, { longhaul }: FrameSocketDeps): void {
  app.get<Asked>('/sessions/:id/frames', { websocket: true }, (socket, request) => {
    const stop = new AbortController();
    socket.on('close', () => stop.abort());
    const after = request.query.after === undefined ? undefined : Number(request.query.after);
    const sessionId = request.params.id as SessionId;
    void (async () => {
      const log = longhaul.frames.follow({ sessionId, signal: stop.signal, ...(after === undefined ? {} : { after }) });
      for await (const frames of log) await send(socket, JSON.stringify(frames));
    })();
  });
}

function send(socket: WebSocket, text: string): Promise<void> {
  return new Promise((resolve) => {
    socket.send(text, () => resolve());
  });
}
