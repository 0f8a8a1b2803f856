/** The server half and the client half of frames over sockets, as a backend and a program of a user have them. */
import { fastify, type FastifyInstance } from 'fastify';
import { WebSocket } from 'ws';
import { acceptSockets, frameSockets } from '../../backend/frames-socket.ts';
import type { SocketLimits, SocketMetrics } from '../../backend/stream-frames.ts';
import type { FollowedFrame, FrameHub } from '../../frames/follow.ts';
import type { SessionId } from '../../contract/ids.ts';
import { until } from './until.ts';

export interface LabSocketServer {
  readonly url: string;
  readonly server: FastifyInstance;
  close(): Promise<void>;
}

interface ServerOptions {
  readonly limits?: SocketLimits;
  readonly metrics?: SocketMetrics;
  readonly port?: number;
}

export async function socketServer(
  frames: FrameHub,
  { port = 0, ...options }: ServerOptions = {},
): Promise<LabSocketServer> {
  const server = fastify({ forceCloseConnections: true }) as unknown as FastifyInstance;
  acceptSockets(server);
  server.get('/plain', () => 'no socket');
  void server.register(async (app) => frameSockets(app, { longhaul: { frames }, ...options }), { prefix: '/api' });
  const url = await server.listen({ host: '127.0.0.1', port });
  return { url: url.replace('http', 'ws'), server, close: () => server.close() };
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface ReaderOptions {
  readonly after?: number | string;
  readonly autoPong?: boolean;
  readonly token?: string;
  readonly protocols?: string[];
}

/** One connection, and all that came over it. */
export class FrameReader {
  readonly socket: WebSocket;
  /** As they came, as text. */
  readonly messages: string[] = [];
  readonly frames: FollowedFrame[] = [];
  readonly closed: Promise<Closed>;

  constructor(base: string, sessionId: SessionId | string, options: ReaderOptions = {}) {
    const { after, autoPong = true, token, protocols = [] } = options;
    const query = after === undefined ? '' : `?after=${after}`;
    this.socket = new WebSocket(`${base}/api/sessions/${sessionId}/frames${query}`, protocols, {
      autoPong,
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    });
    this.socket.on('error', () => {});
    this.socket.on('message', (data: Buffer) => {
      const text = data.toString();
      this.messages.push(text);
      this.frames.push(...(JSON.parse(text) as FollowedFrame[]));
    });
    this.closed = new Promise((resolve) => {
      this.socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  get seqs(): number[] {
    return this.frames.map(({ seq }) => seq);
  }

  get last(): number {
    return this.frames.at(-1)?.seq ?? 0;
  }

  async to(seq: number): Promise<void> {
    await until(`frame ${seq}`, () => this.last >= seq, 30_000);
  }

  async leave(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}
