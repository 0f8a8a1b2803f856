/** Builds the HTTP server. routes/ has a file with the requests and responses of each resource. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import swagger from '@fastify/swagger';
import {
  fastify,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type preHandlerHookHandler,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import { isLoopback } from '../services/listen-host.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type AccessOptions, makeAccess } from './access.ts';
import { type ConnectionLimits, connectionLimits } from './connections.ts';
import type { RouteDeps } from './deps.ts';
import { acceptSockets, frameSockets, refuseStrayHandshakes } from './frames-socket.ts';
import { type HttpServer, makeHttpServer, type Timeouts } from './http-server.ts';
import { acceptJsonOnly } from './json-body.ts';
import { methodsByPath } from './known-methods.ts';
import { type BackendMetrics, makeMetrics, type MetricsSources } from './metrics.ts';
import { openapiOptions } from './openapi.ts';
import { handleError, sendProblem } from './problem.ts';
import { agentRoutes } from './routes/agents.ts';
import { chatRoutes } from './routes/chats.ts';
import { changeRoutes } from './routes/changes.ts';
import { recordingRoutes } from './routes/recordings.ts';
import { healthRoutes } from './routes/health.ts';
import { permissionRoutes } from './routes/permissions.ts';
import { metricsRoute } from './routes/metrics.ts';
import { queueRoutes } from './routes/queue.ts';
import { followUpRoutes } from './routes/follow-ups.ts';
import { projectRoutes } from './routes/projects.ts';
import { ruleRoutes } from './routes/rules.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { taskRoutes } from './routes/tasks.ts';
import { query } from './schemas.ts';
import { validatorCompiler } from './validation.ts';

/** The maximum size of a body. The longest permitted input needs less, in any script and with JSON escapes. */
const BODY_LIMIT_BYTES = 8 * 1024 * 1024;
/** The time after which a request gets 503 if Postgres or Temporal does not respond. */
const ANSWER_MS = 10_000;

export interface ServerOptions extends Omit<RouteDeps, 'metrics'>, MetricsSources {
  readonly longhaul: RouteDeps['longhaul'];
  readonly access: AccessOptions;
  readonly log: Logger;
  /** Only tests set these three: a shorter wait, fewer connections, shorter timeouts. */
  readonly responseTimeoutMs?: number;
  readonly connections?: ConnectionLimits;
  readonly timeouts?: Partial<Timeouts>;
}

export function makeServer(options: ServerOptions): FastifyInstance {
  const metrics = makeMetrics(options);
  const deps: RouteDeps = { ...options, metrics };
  const handshakes = createServer();
  let http: HttpServer | undefined;
  const server = fastify({
    serverFactory: (handler) => {
      http = makeHttpServer(handler, {
        limits: options.connections ?? connectionLimits(),
        timeouts: options.timeouts ?? {},
        handshakes,
        log: options.log,
      });
      return http.server;
    },
    // The handlers of http-server.ts run first and send the response, so Fastify's own handler must do nothing.
    clientErrorHandler: () => {},
    loggerInstance: options.log.child({}, { serializers: { req: requestInLog } }),
    // Only refused requests are logged.
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    bodyLimit: BODY_LIMIT_BYTES,
    // A request that arrives while the server stops is served, because Fastify's own 503 is not one of our problem
    // documents.
    return503OnClosing: false,
    rewriteUrl: targetOf,
    genReqId: requestId,
    // The router would refuse a longer parameter before every hook, with a response that is not a problem document.
    // Node's limit of the headers limits the path, too.
    routerOptions: { maxParamLength: Number.MAX_SAFE_INTEGER },
  }) as unknown as FastifyInstance;
  const methodsOf = methodsByPath(server);
  // A route without a schema for the query accepts no query parameters.
  server.addHook('onRoute', (route) => {
    route.schema = { querystring: query({}), ...route.schema };
  });
  acceptJsonOnly(server);
  server.setValidatorCompiler(validatorCompiler);
  // Types and tests check responses against their schemas, not the server at run time: an unexpected row of an adopted
  // table is returned unchanged, not answered with an error.
  server.setSerializerCompiler(() => (data) => JSON.stringify(data));
  server.setErrorHandler(handleError);
  server.setNotFoundHandler((request, reply) => refuseUnknown(request, reply, methodsOf(pathOf(request.url))));
  server.addHook('onRequest', (request, reply, done) => {
    void reply.headers({
      'x-request-id': request.id,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(request.headers.upgrade === undefined ? {} : { connection: 'close' }),
    });
    done();
  });
  server.addHook(
    'onRequest',
    makeAccess(options.access, (socket) => http?.prove(socket) !== false),
  );
  // The hook refuses a request before its body is read.
  server.addHook('onRequest', (request, reply, done) => {
    if (request.is404) refuseUnknown(request, reply, methodsOf(pathOf(request.url)));
    else done();
  });
  server.addHook('onRequest', refuseStrayHandshakes);
  server.addHook('onListen', async () => {
    if (options.access.listenHost === 'localhost') await http?.listenAtOthers('localhost');
  });
  server.addHook('preHandler', answerWithin(options.responseTimeoutMs ?? ANSWER_MS));
  server.addHook('onResponse', (request, reply, done) => {
    observe(metrics, request, reply);
    // If a handshake got a plain HTTP response, its socket would stay open and keep the server from closing.
    if (request.headers.upgrade !== undefined) request.raw.socket.destroySoon();
    done();
  });
  acceptSockets(server, handshakes);
  server.register(swagger, openapiOptions);
  server.register((plain, _options, done) => {
    const api = plain.withTypeProvider<ZodTypeProvider>();
    healthRoutes(api, options);
    metricsRoute(api, { metrics, open: isLoopback(options.access.listenHost) });
    done();
  });
  server.register(
    (plain, _options, done) => {
      const api = plain.withTypeProvider<ZodTypeProvider>();
      api.get('/openapi.json', { schema: { hide: true } }, () => server.swagger());
      for (const routes of [
        projectRoutes,
        taskRoutes,
        queueRoutes,
        followUpRoutes,
        chatRoutes,
        sessionRoutes,
        changeRoutes,
        permissionRoutes,
        ruleRoutes,
        recordingRoutes,
        agentRoutes,
      ])
        routes(api, deps);
      frameSockets(plain, deps);
      done();
    },
    { prefix: '/api' },
  );
  return server;
}

/**
 * Responds with 503 if a handler takes longer than `ms`. Fastify's own handlerTimeout is not used: it stops its clock
 * when the request closes, and Node reports the request as closed as soon as its body was read (Fastify 5.12.8). A
 * later result of the handler is not sent, but its effect stays.
 */
function answerWithin(ms: number): preHandlerHookHandler {
  return (request, reply, done) => {
    const timer = setTimeout(() => {
      if (reply.sent) return;
      const late = new LonghaulError('service_unreachable', `Postgres or Temporal did not respond within ${ms / 1_000} s. Try again later.`); // prettier-ignore
      handleError(late, request, reply);
    }, ms);
    reply.raw.once('close', () => clearTimeout(timer));
    done();
  };
}

/**
 * Returns the path of a target in absolute form (`GET http://host/path`). The target's host replaces the Host header
 * (RFC 9112, 3.2.2).
 */
function targetOf({ url = '/', headers }: IncomingMessage): string {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return decodable(url);
  const { host, pathname, search, username } = new URL(url);
  headers.host = username === '' ? host : `${username}@${host}`;
  return decodable(`${pathname}${search}`);
}

/**
 * If the path has a malformed percent escape, each `%` in it is taken literally. Otherwise the router would answer the
 * request itself, before the hooks that check token and Host and set the headers.
 */
function decodable(target: string): string {
  const path = pathOf(target);
  try {
    decodeURIComponent(path);
    return target;
  } catch {
    return `${path.replaceAll('%', '%25')}${target.slice(path.length)}`;
  }
}

/** Returns the caller's own request id if it is safe in a log, otherwise a new one. */
function requestId({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
}

/** Returns the path without the query, which may contain a secret. */
const pathOf = (url: string): string => url.split('?', 1)[0] ?? url;

/** Returns what the log line of a request has: no headers, because a header contains the token. */
function requestInLog({ method, url, ip }: FastifyRequest): object {
  return { method, path: pathOf(url), ip };
}

function refuseUnknown(request: FastifyRequest, reply: FastifyReply, methods: readonly string[]): FastifyReply {
  const path = pathOf(request.url);
  if (methods.length === 0)
    return sendProblem(
      reply,
      new LonghaulError('route_not_found', `The path ${path} does not exist; see /api/openapi.json.`),
    );
  const allow = methods.join(', ');
  void reply.header('allow', allow);
  return sendProblem(
    reply,
    new LonghaulError('method_not_allowed', `${path}: expected ${allow}, found ${request.method}.`),
  );
}

function observe({ requests }: BackendMetrics, request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? 'none';
  requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
}
