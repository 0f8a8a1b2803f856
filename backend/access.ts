/**
 * Controls access to the backend: every request needs the token, except a request for a route that is declared `open`.
 * A path that no route serves needs the token, too, so that no spelling of a path avoids the check.
 *
 * A foreign page in the user's browser can send requests to the backend, and with DNS rebinding it can do so under a
 * name of its own. So Host must be a name of this backend, and so must Origin if the request has one.
 *
 * Not covered: TLS (a proxy adds it), and other users who can read the token file.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import { isLoopback } from '../services/listen-host.ts';
import { LonghaulError } from '../contract/errors.ts';
import { FailedLogins } from './failed-logins.ts';
import { sendProblem } from './problem.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True if the route needs no token. */
    readonly open?: boolean;
  }
}

export interface AccessOptions {
  readonly token: string;
  /** The name or address at which the backend listens. */
  readonly listenHost: string;
  /** Further names of the backend, for instance of a proxy in front of it. */
  readonly allowedHosts: readonly string[];
}

/**
 * Prefix of the token in `Sec-WebSocket-Protocol`: a page in a browser cannot set Authorization in a WebSocket
 * handshake.
 */
const PROTOCOL_PREFIX = 'longhaul.bearer.';

/**
 * Returns the token of a request, from `Authorization` or `Sec-WebSocket-Protocol`. A URL never has it, because URLs
 * are logged.
 */
export function bearerOf(headers: FastifyRequest['headers']): string | undefined {
  const [, bearer] = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? [];
  if (bearer !== undefined) return bearer;
  const protocols = headers['sec-websocket-protocol']?.split(',').map((protocol) => protocol.trim()) ?? [];
  return protocols.find((protocol) => protocol.startsWith(PROTOCOL_PREFIX))?.slice(PROTOCOL_PREFIX.length);
}

/**
 * Returns the hook that controls access. `prove` is called for each request that has the right token. If it returns
 * false, too many connections have sent that token, and the request gets a 503.
 */
export function makeAccess(
  { token, listenHost, allowedHosts }: AccessOptions,
  prove: (socket: Socket) => boolean,
): onRequestAsyncHookHandler {
  const expected = digest(token);
  const isOurs = hostRule({ listenHost, allowedHosts });
  const failed = new FailedLogins();

  return async (request, reply) => {
    const refused = refusal(request, isOurs);
    if (refused) return sendProblem(reply, refused);
    const given = bearerOf(request.headers);
    // `timingSafeEqual` needs values of equal length. So the digests of the tokens are compared, which have equal
    // length whatever the caller sent.
    const known = given !== undefined && timingSafeEqual(digest(given), expected);
    if (known && !prove(request.raw.socket)) return refuseConnection(reply);
    if (known || request.routeOptions.config.open) return;
    return refuse(request, reply, failed, given !== undefined);
  };
}

function refuseConnection(reply: FastifyReply): FastifyReply {
  void reply.headers({ connection: 'close', 'retry-after': 5 });
  return sendProblem(
    reply,
    new LonghaulError(
      'too_many_connections',
      'Nothing was done: as many connections are open as the file descriptors of the backend allow. Close some, or raise `ulimit -n` for it.',
    ),
  );
}

/**
 * Returns the check whether a request may name a host, given the local address at which the request arrived. A name
 * must be known, because the owner of any other name can let it resolve to this machine. An address must be the one at
 * which the request arrived, because a foreign page can have an address, too. Behind a NAT or a container's published
 * port the two addresses differ, so the user must set LONGHAUL_ALLOWED_HOSTS.
 */
export function hostRule({
  listenHost,
  allowedHosts,
}: Pick<AccessOptions, 'listenHost' | 'allowedHosts'>): (host: string, localAddress: string | undefined) => boolean {
  const names = new Set([listenHost, ...allowedHosts].map((name) => name.toLowerCase()));
  for (const anywhere of ['0.0.0.0', '::']) names.delete(anywhere);
  return (host, localAddress) => names.has(host) || isLoopback(host) || host === addressOf(localAddress);
}

/** Returns the address without the prefix `::ffff:`, which an IPv4 connection to a dual-stack socket has. */
const addressOf = (local: string | undefined): string | undefined =>
  local?.toLowerCase().replace(/^::ffff:(?=[\d.]+$)/, '');

function refusal(
  { headers, raw }: FastifyRequest,
  isOurs: (host: string, localAddress: string | undefined) => boolean,
): LonghaulError | undefined {
  const given = raw.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  if (given > 1 || (given === 0 && raw.httpVersionMinor > 0)) {
    return new LonghaulError('invalid_input', `Host: expected the header once, found it ${given === 0 ? 'never' : `${given} times`}.`); // prettier-ignore
  }
  const local = raw.socket.localAddress;
  const host = hostnameOf(`http://${headers.host ?? ''}`);
  if (host === undefined || !isOurs(host, local)) {
    return new LonghaulError(
      'host_refused',
      `Host: expected a name of the backend, or the address at which it was reached (${addressOf(local) ?? 'none'}), found ${JSON.stringify(headers.host ?? '')}. LONGHAUL_ALLOWED_HOSTS adds names and addresses.`,
    );
  }
  const { origin } = headers;
  if (origin === undefined) return undefined;
  const from = /^https?:\/\//.test(origin) ? hostnameOf(origin) : undefined;
  if (from !== undefined && isOurs(from, local)) return undefined;
  return new LonghaulError(
    'host_refused',
    `Origin: expected a page of this machine or of LONGHAUL_ALLOWED_HOSTS, found ${JSON.stringify(origin)}.`,
  );
}

/**
 * Refuses a request without the right token: 401, or 429 after several. A request with the right token never gets 429,
 * because otherwise a program with an old token could lock out every other program at its address.
 */
function refuse(request: FastifyRequest, reply: FastifyReply, failed: FailedLogins, hadOne: boolean): FastifyReply {
  const retryAfterS = failed.note(request.ip);
  if (retryAfterS !== undefined) {
    void reply.header('retry-after', retryAfterS);
    return sendProblem(reply, new LonghaulError('too_many_attempts', `Too many requests without the right token: try again in ${retryAfterS} s.`)); // prettier-ignore
  }
  request.log.warn({ request_id: request.id, ip: request.ip }, hadOne ? 'a wrong token' : 'no token');
  void reply.header('www-authenticate', 'Bearer');
  return sendProblem(
    reply,
    new LonghaulError(
      'unauthorized',
      `${hadOne ? 'The token is not the right one' : 'A token is needed'}: send \`Authorization: Bearer …\` with the token in the file that \`longhaul status --json\` names as token_file.`,
    ),
  );
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Matches a URL that has only scheme, host and port, because no other part is allowed. The part before an `@`, for
 * example, could be taken for the host.
 */
const PLAIN = /^https?:\/\/(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/i;

/** Returns the host without port and brackets, in lower case. */
function hostnameOf(url: string): string | undefined {
  if (!PLAIN.test(url) || !URL.canParse(url)) return undefined;
  return new URL(url).hostname.replace(/^\[|\]$/g, '') || undefined;
}
