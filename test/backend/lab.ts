/** A backend's server that really listens, in the test's process, on a database of the test's own. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { inject } from 'vitest';
import type { AccessOptions } from '../../backend/access.ts';
import type { ConnectionLimits } from '../../backend/connections.ts';
import type { Timeouts } from '../../backend/http-server.ts';
import { makeServer } from '../../backend/server.ts';
import { type Longhaul, openLonghaul } from '../../client/connection.ts';
import type { Sql } from '../../store/sql.ts';
import { freshDatabase } from '../lab/database.ts';
import { Documented } from './documented.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // What a test expects of it is what it asserts.
  readonly body: Record<string, unknown>;
  readonly text: string;
}

export interface LabServer {
  readonly url: string;
  readonly token: string;
  readonly sql: Sql;
  readonly longhaul: Longhaul;
  readonly databaseUrl: string;
  /** A folder with a `.git` in it, below `dir`. */
  readonly repository: string;
  readonly dir: string;
  /** Lines of its log. */
  readonly log: string[];
  /** What each answer is held to. */
  readonly documented: Documented;
  /** As fetch takes it. With the token, unless the headers say otherwise. */
  ask(path: string, init: RequestInit): Promise<Answer>;
  /** With the token, unless the headers say otherwise. */
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Another server on the same database, as a second backend would be. */
  another(options?: LabServerOptions): Promise<LabServer>;
  close(): Promise<void>;
}

export interface LabServerOptions {
  readonly responseTimeoutMs?: number;
  readonly connections?: ConnectionLimits;
  readonly timeouts?: Partial<Timeouts>;
  /** Default: 127.0.0.1. */
  readonly listenAt?: string;
  /** Before it listens. */
  readonly prepare?: (server: FastifyInstance) => void;
  /** In front of the database, say. */
  readonly databaseUrl?: (url: string) => Promise<string>;
  readonly temporalAddress?: string;
  readonly access?: Partial<AccessOptions>;
  readonly projectRoots?: readonly string[];
}

export async function startServer(options: LabServerOptions = {}): Promise<LabServer> {
  const database = await freshDatabase();
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'longhaul-rest-')));
  const repository = join(dir, 'project');
  await mkdir(join(repository, '.git'), { recursive: true });
  await writeFile(join(repository, '.git', 'HEAD'), 'ref: refs/heads/main\n');
  await database.sql`INSERT INTO available_agents (name, supports_acp) VALUES ('demo', true)`;
  const databaseUrl = (await options.databaseUrl?.(database.url)) ?? database.url;
  const place = { databaseUrl, sql: database.sql, dir, repository };
  const servers: LabServer[] = [];
  const first = await serve(place, options, servers);
  return {
    ...first,
    close: async () => {
      for (const server of servers) await server.close();
      await database.drop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

type Place = Pick<LabServer, 'sql' | 'dir' | 'repository' | 'databaseUrl'>;

async function serve(place: Place, options: LabServerOptions, servers: LabServer[]): Promise<LabServer> {
  const { databaseUrl } = place;
  const token = options.access?.token ?? randomBytes(32).toString('base64url');
  const log: string[] = [];
  const longhaul = openLonghaul({
    databaseUrl,
    temporal: {
      namespace: 'default',
      connection: { address: options.temporalAddress ?? inject('temporalAddress'), tls: false },
    },
    temporalUiUrl: 'http://ui',
    applicationName: 'test backend',
  });
  const server = makeServer({
    longhaul,
    intake: { trouble: () => undefined },
    access: { listenHost: '127.0.0.1', allowedHosts: [], ...options.access, token },
    projectRoots: options.projectRoots ?? [],
    ...(options.responseTimeoutMs === undefined ? {} : { responseTimeoutMs: options.responseTimeoutMs }),
    ...(options.connections === undefined ? {} : { connections: options.connections }),
    ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
    log: pino({ level: 'debug' }, { write: (line) => void log.push(line) }),
  });
  options.prepare?.(server);
  const url = await server.listen({ host: options.listenAt ?? '127.0.0.1', port: 0 });
  const documented = new Documented(server.swagger());
  const ask = async (path: string, init: RequestInit): Promise<Answer> => {
    const headers = { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) };
    const response = await fetch(`${url}${path}`, { ...init, headers, signal: AbortSignal.timeout(20_000) });
    const text = await response.text();
    const contentType = response.headers.get('content-type') ?? '';
    const body = /json/.test(contentType) ? (JSON.parse(text) as Answer['body']) : {};
    const { status } = response;
    documented.check({
      method: init.method ?? 'GET',
      path,
      status,
      contentType,
      body: /json/.test(contentType) ? body : text,
    });
    return { status, headers: response.headers, body, text };
  };
  const self: LabServer = {
    ...place,
    url,
    token,
    longhaul,
    log,
    documented,
    ask,
    get: (path, headers = {}) => ask(path, { headers }),
    post: (path, body, headers = {}) =>
      ask(path, {
        method: 'POST',
        headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    another: (more = {}) =>
      serve(place, { ...options, ...more, access: { ...options.access, ...more.access, token } }, servers),
    close: async () => {
      await server.close();
      await longhaul.close();
    },
  };
  servers.push(self);
  return self;
}
