/**
 * Configures Node's HTTP server below Fastify: it handles what happens on a connection before there is a request, and
 * after the last response.
 *
 * Must never happen: a client cannot read a response, because the connection was reset while the client was still
 * sending; a refusal is sent in another form than a problem document; a response is taken for that of another request.
 */
import { lookup } from 'node:dns/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { LonghaulError } from '../contract/errors.ts';
import { Connections, type ConnectionLimits } from './connections.ts';
import { problemMessage, type ProblemLog } from './problem.ts';

/** Timeouts of the HTTP server, in milliseconds. */
export interface Timeouts {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  readonly connectionsCheckingInterval: number;
}

const TIMEOUTS: Timeouts = {
  /** The time in which the headers of a connection's first request must be complete. */
  headersTimeout: 10_000,
  /**
   * The time from a request's first byte to its last. It is limited so that a client cannot occupy a connection by
   * sending slowly.
   */
  requestTimeout: 60_000,
  /**
   * The time between two requests. Proxies keep idle connections for 60 s, so with a shorter time here a proxy would
   * send into a closed connection.
   */
  keepAliveTimeout: 72_000,
  /** How often Node checks headersTimeout and requestTimeout. */
  connectionsCheckingInterval: 2_000,
};
/**
 * How long the server continues to read from a client that is still sending after the response: in total, and without a
 * byte from the client.
 */
const LINGER_MS = 30_000;
const LINGER_SILENCE_MS = 5_000;
/**
 * The time that replaces `LINGER_MS` for a client that sent its request too slowly. It only allows for bytes that are
 * already in transit.
 */
const LINGER_SLOW_MS = 1_000;

export interface HttpServerOptions {
  readonly limits: ConnectionLimits;
  readonly timeouts: Partial<Timeouts>;
  readonly log: ProblemLog;
  /** The server that gets WebSocket handshakes, as its event `upgrade`. */
  readonly handshakes: Server;
}

export interface HttpServer {
  readonly server: Server;
  /** Notes that a request on this connection had the right token. Returns false if too many connections are proven. */
  readonly prove: (socket: Socket) => boolean;
  /** Listens also at those addresses of the host at which `server` does not: `localhost` is 127.0.0.1 and ::1. */
  listenAtOthers(host: string): Promise<void>;
}

export function makeHttpServer(handler: RequestListener, options: HttpServerOptions): HttpServer {
  const { limits, log } = options;
  const connections = new Connections(limits, (socket) => refuseConnection(socket, log));
  const server = serverFor(handler, connections, options);
  const listenAtOthers = async (host: string): Promise<void> => {
    const { address, port } = server.address() as AddressInfo;
    const found = await lookup(host, { all: true }).catch(() => []);
    for (const other of found) {
      if (other.address === address) continue;
      const further = serverFor(handler, connections, options);
      // Listening may fail, because an address of the hosts file need not exist on this machine.
      further.on('error', () => {});
      further.listen({ host: other.address, port });
      server.once('close', () => {
        further.close();
        further.closeAllConnections();
      });
    }
  };
  return { server, prove: (socket) => connections.prove(socket), listenAtOthers };
}

function serverFor(
  handler: RequestListener,
  connections: Connections,
  { handshakes, log, timeouts }: HttpServerOptions,
): Server {
  /** The newest response on each connection. */
  const responses = new WeakMap<Socket, ServerResponse>();
  // `requireHostHeader` is off because the handler itself refuses a missing Host, with a problem document.
  const server = createServer({ ...TIMEOUTS, ...timeouts, requireHostHeader: false });
  const onRequest: RequestListener = (request, response) => {
    connections.touch(request.socket);
    responses.set(request.socket, response);
    handler(request, response);
  };
  server.on('connection', (socket: Socket) => {
    connections.admit(socket);
    lingerAtEnd(socket, () => responses.get(socket)?.req.complete !== false);
  });
  server.on('request', onRequest);
  // HTTP allows a server to ignore an unknown `Expect` header, so the request is handled as usual.
  server.on('checkExpectation', onRequest);
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => {});
    const refused = new LonghaulError('method_not_allowed', `This is no proxy: it takes no ${request.method ?? 'CONNECT'}.`); // prettier-ignore
    socket.write(problemMessage(refused, log, { allow: 'GET, HEAD, POST' }));
    linger(socket);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    connections.touch(socket);
    if (request.headers.upgrade?.toLowerCase() === 'websocket') handshakes.emit('upgrade', request, socket, head);
    else afterAnswer(responses.get(socket), () => withoutUpgrade(server, { request, socket, head }));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    onClientError(error, socket, { response: responses.get(socket), log });
  });
  return server;
}

function refuseConnection(socket: Socket, log: ProblemLog): void {
  const full = new LonghaulError('too_many_connections', 'Too many connections without the token are open: try again later.'); // prettier-ignore
  if (socket.writable) socket.write(problemMessage(full, log));
  socket.destroySoon();
}

/**
 * Node closes a connection right after the last response. If bytes of the client are unread then, the kernel resets the
 * connection, and the client may never see the response. So if a request is not complete, the server stops writing and
 * continues to read for a limited time.
 */
function lingerAtEnd(socket: Socket, isRequestComplete: () => boolean): void {
  const destroySoon = socket.destroySoon.bind(socket);
  socket.destroySoon = () => {
    if (isRequestComplete()) destroySoon();
    else linger(socket);
  };
}

function linger(socket: Socket, ms: number = LINGER_MS): void {
  if (socket.destroyed) return;
  socket.end();
  socket.setTimeout(LINGER_SILENCE_MS, () => socket.destroy());
  const late = setTimeout(() => socket.destroy(), ms);
  socket.once('close', () => clearTimeout(late));
  socket.resume();
}

/**
 * Handles a request that offers another protocol, such as h2c (Java's HttpClient offers it by default). A server may
 * ignore the offer. So the same request without the offer is put before the rest of the stream, and the parser reads it
 * again. Node 24 has `shouldUpgradeCallback` for this.
 */
function withoutUpgrade(
  server: Server,
  { request, socket, head }: { request: IncomingMessage; socket: Socket; head: Buffer },
): void {
  const { method = 'GET', url = '/', httpVersion, rawHeaders } = request;
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (!/^(upgrade|http2-settings|connection)$/i.test(name)) lines.push(`${name}: ${rawHeaders[index + 1] ?? ''}`);
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}

const PARSER_ERRORS: Readonly<Record<string, readonly ['headers_too_large' | 'request_timeout', string]>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'Expected at most 16 KB of request line and headers, found more.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'The request did not arrive in time: expected its headers within 10 s and all of it within 60 s.'], // prettier-ignore
};

interface Refusal {
  /** The response to the newest request on the connection. */
  readonly response: ServerResponse | undefined;
  readonly log: ProblemLog;
}

/** Handles requests that the parser refuses, and requests that exceed a timeout. */
function onClientError(error: NodeJS.ErrnoException, socket: Socket, { response, log }: Refusal): void {
  // Node emits `clientError` again for each further chunk of a stream that the parser refused.
  if (socket.writableEnded || refused.has(socket)) return;
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  refused.add(socket);
  const [code, detail] = PARSER_ERRORS[error.code ?? ''] ?? ['invalid_input', `This is no HTTP request: ${error.message}.`]; // prettier-ignore
  socket.on('error', () => {});
  const end = (): void => linger(socket, code === 'request_timeout' ? LINGER_SLOW_MS : LINGER_MS);
  const refuse = (): void => {
    socket.write(problemMessage(new LonghaulError(code, detail), log));
    end();
  };
  if (!response || response.req.complete) return afterAnswer(response, refuse);
  // The body of that request is invalid or late. A response that has begun cannot be replaced: the client would take a
  // second one for the response to another request.
  if (!response.headersSent) refuse();
  else if (response.closed) end();
  else socket.destroy();
}

/** Calls `next` after the response, because responses on a connection are sent in the order of their requests. */
function afterAnswer(response: ServerResponse | undefined, next: () => void): void {
  if (!response || response.closed) next();
  else response.once('close', next);
}

const refused = new WeakSet<Socket>();
