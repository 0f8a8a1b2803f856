/**
 * All settings that the environment can give, parsed once. All invalid values are reported together, one line each, so
 * that a user can correct all of them before the next start.
 */
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { createRequire } from 'node:module';
import { availableParallelism, devNull, homedir, hostname } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';
import { z } from 'zod';
import type { TemporalContent } from '../contract/task.ts';
import { LonghaulError, messageOf } from '../contract/errors.ts';
import type { TemporalTarget } from './temporal/connection.ts';

const DEFAULT_LISTEN = '127.0.0.1:4700';
const DEFAULT_NAMESPACE = 'default';
const HISTORY_RETENTION_DAYS = 30;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** True if the user chose the port. In that case no other port is used. */
  readonly fixed: boolean;
}

export type TemporalSetting =
  | { readonly kind: 'embedded'; readonly namespace: string }
  | { readonly kind: 'server'; readonly address: string; readonly target: TemporalTarget };

export interface Settings {
  /** The address of the user's Postgres. Undefined: the embedded Postgres is used. */
  readonly databaseUrl?: string;
  readonly temporal: TemporalSetting;
  /** The folder of the home, with databases, worktrees, logs and token. */
  readonly home: string;
  /** The folder of programs that were downloaded or built. Several homes share it. */
  readonly cacheDir: string;
  readonly listen: ListenAddress;
  readonly agentSlots: number;
  /**
   * How long an agent that waits only for a person keeps running before it is ended. The person's answer starts the
   * agent again.
   */
  readonly hibernateAfterMs: number;
  /** Whether an agent is prompted once per version, to check that it can load its session after a kill. */
  readonly verifyResume: boolean;
  /** How long an agent may be silent: until it accepts a prompt, during a turn, and while one of its tools runs. */
  readonly agentTimeouts: { readonly startMs: number; readonly stallMs: number; readonly toolMs: number };
  readonly hostName: string;
  /** The file with the backend's token, if the user named one. Undefined: the token file of the home is used. */
  readonly tokenFile?: string;
  /**
   * Host names under which the backend may be reached, in addition to this machine's own names and the host that it
   * listens on.
   */
  readonly allowedHosts: readonly string[];
  /** Every project must be in one of these folders. An empty list allows every folder. */
  readonly projectRoots: readonly string[];
  /** With `none`, first lines of prompts, names, titles and messages are not sent to Temporal. */
  readonly temporalContent: TemporalContent;
  /** Whether the embedded Temporal has its Web UI. */
  readonly temporalUi: boolean;
  /**
   * The address of Temporal's Web UI. Undefined: no links to the Web UI are shown. For the embedded Temporal the
   * supervisor sets this address.
   */
  readonly temporalUiUrl?: string;
  /**
   * How many days Temporal keeps the histories of ended tasks. Undefined if the Temporal server is not the embedded
   * one, because the retention is then unknown. The supervisor sets this number for the backend, because the backend
   * knows the embedded Temporal only by its address.
   */
  readonly historyRetentionDays?: number;
  /**
   * The limits for terminal recordings in the home: their maximum age in days, and the maximum of their total size in
   * bytes. `longhaul gc` removes the recordings that exceed a limit.
   */
  readonly recordings: { readonly days: number; readonly bytes: number };
  /**
   * The limits for parked worktrees: their maximum number, their maximum age in days, the maximum of their total size
   * in bytes, and the part of the disk that must stay free, in percent.
   */
  readonly parked: {
    readonly count: number;
    readonly days: number;
    readonly bytes: number;
    readonly freePercent: number;
  };
}

const absolutePath = z.string().refine(isAbsolute, 'expected an absolute path');
/** Checks the address as `new URL` and the Postgres client parse it, because their errors do not name the setting. */
const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, { error: 'expected postgres://…', abort: true })
  .refine(isDatabaseUrl, {
    error:
      'expected postgres://USER:PASSWORD@HOST:PORT/DATABASE with a port up to 65535 ' +
      'and each of : / ? # @ % in user or password written as %3A %2F %3F %23 %40 %25',
  });

const listenAddress = z.string().transform((text, context) => {
  const match = /^(?:\[(?<v6>[\da-f:.]+)\]|(?<host>[^\s:[\]]+)):(?<port>\d{1,5})$/i.exec(text);
  const port = Number(match?.groups?.['port']);
  const host = match?.groups?.['v6'] ?? match?.groups?.['host'];
  if (host === undefined || port > 65_535 || !isHost(host)) {
    context.addIssue({ code: 'custom', message: 'expected HOST:PORT such as 127.0.0.1:4700' });
    return z.NEVER;
  }
  return { host, port };
});

const seconds = z
  .string()
  .regex(/^\d{1,7}$/, 'expected a whole number of seconds')
  .transform(Number)
  // A timer of Node can wait for at most 24 days, so the maximum is below that.
  .refine((value) => value >= 1 && value <= 1_000_000, 'expected 1 to 1000000 seconds');

const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,7}$/, 'expected a whole number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `expected ${least} to ${most}`);

const environment = z.object({
  DATABASE_URL: databaseUrl.optional(),
  TEMPORAL_ADDRESS: z
    .string()
    .regex(/^[^\s/]+:\d+$/, 'expected HOST:PORT such as localhost:7233')
    .optional(),
  TEMPORAL_NAMESPACE: z.string().optional(),
  LONGHAUL_HOME: absolutePath.optional(),
  LONGHAUL_CACHE: absolutePath.optional(),
  LONGHAUL_LISTEN: listenAddress.optional(),
  LONGHAUL_AGENT_SLOTS: z
    .string()
    .regex(/^\d+$/, 'expected a whole number')
    .transform(Number)
    .refine((slots) => slots >= 1 && slots <= 1_000, 'expected 1 to 1000')
    .optional(),
  LONGHAUL_AGENT_START_TIMEOUT: seconds.optional(),
  LONGHAUL_AGENT_STALL_TIMEOUT: seconds.optional(),
  LONGHAUL_AGENT_TOOL_TIMEOUT: seconds.optional(),
  LONGHAUL_HIBERNATE_AFTER: seconds.optional(),
  LONGHAUL_VERIFY_RESUME: z.enum(['on', 'off'], 'expected on or off').optional(),
  // The native agent reads these variables itself. They are also checked here, so that an invalid value is reported
  // before a task needs it.
  LONGHAUL_LOCAL_MODEL_URL: z
    .url({ protocol: /^https?$/, error: 'expected a URL such as http://127.0.0.1:8080/v1' })
    .optional(),
  LONGHAUL_LOCAL_MODEL_KEY: z.string().optional(),
  LONGHAUL_HOST_NAME: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'expected 1 to 100 letters, digits, dots, dashes or underscores')
    .optional(),
  LONGHAUL_TOKEN_FILE: absolutePath.optional(),
  LONGHAUL_ALLOWED_HOSTS: z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean),
    )
    .pipe(z.array(z.string().regex(/^[\w.-]+$/, 'expected host names, separated by commas')))
    .optional(),
  LONGHAUL_PROJECT_ROOTS: z
    .string()
    .transform((text) => text.split(delimiter).filter(Boolean))
    .pipe(z.array(absolutePath))
    .optional(),
  LONGHAUL_TEMPORAL_CONTENT: z.enum(['full', 'none'], 'expected full or none').optional(),
  LONGHAUL_TEMPORAL_UI: z.enum(['on', 'off'], 'expected on or off').optional(),
  LONGHAUL_TEMPORAL_UI_URL: z
    .string()
    .refine((text) => /^https?:/.test(text) && URL.canParse(text), 'expected http://… or https://…')
    .optional(),
  LONGHAUL_HISTORY_RETENTION: z
    .string()
    .regex(/^\d{1,4}$/, 'expected a whole number of days')
    .transform(Number)
    .refine((days) => days >= 1 && days <= 3_650, 'expected 1 to 3650 days')
    .optional(),
  LONGHAUL_RECORDINGS_DAYS: z
    .string()
    .regex(/^\d{1,4}$/, 'expected a whole number of days')
    .transform(Number)
    .refine((days) => days >= 1 && days <= 3_650, 'expected 1 to 3650 days')
    .optional(),
  LONGHAUL_RECORDINGS_MB: z
    .string()
    .regex(/^\d{1,7}$/, 'expected a whole number of MB')
    .transform(Number)
    .optional(),
  LONGHAUL_PARKED_WORKTREES: wholeNumber(0, 1_000).optional(),
  LONGHAUL_PARKED_DAYS: wholeNumber(1, 3_650).optional(),
  LONGHAUL_PARKED_GB: wholeNumber(0, 100_000).optional(),
  LONGHAUL_PARKED_FREE_PERCENT: wholeNumber(0, 90).optional(),
});

function isDatabaseUrl(text: string): boolean {
  try {
    const { username, password, hostname: host, pathname } = new URL(text);
    if (host === '' && pathname.length < 2) return false;
    for (const part of [username, password, pathname]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

/**
 * Refuses an invalid `DEFAULT_MODEL`, the setting for the native agent's model. Only the worker and the commands that
 * start services call this: other programs read a variable of this name, too, and their value must not make other
 * commands fail. Fails with `invalid_input`.
 */
export function refuseInvalidDefaultModel({ DEFAULT_MODEL: model }: NodeJS.ProcessEnv): void {
  if (!model || /^\s*[^\s/]+\/\S+\s*$/.test(model)) return;
  throw new LonghaulError(
    'invalid_input',
    `DEFAULT_MODEL: expected PROVIDER/MODEL such as local/qwen3 or anthropic/claude-sonnet-4-5, found "${model}"`,
  );
}

/**
 * Whether the text is an IP address or a host name. Text with only digits and dots, or with colons, must be a valid
 * address.
 */
function isHost(host: string): boolean {
  return /^[\d.]+$|:/.test(host) ? isIP(host) !== 0 : /^[\w.-]{1,253}$/.test(host);
}

/**
 * Parses the settings. Throws `invalid_input` with one line for each invalid value. An empty variable counts as unset.
 */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path[0]?.toString() ?? ''}: ${issue.message}, found ${shown(given, issue.path[0])}`); // prettier-ignore
    throw new LonghaulError('invalid_input', lines.join('\n'));
  }
  const value = parsed.data;
  const listen = value.LONGHAUL_LISTEN ?? listenAddress.parse(DEFAULT_LISTEN);
  return {
    temporal: temporalSetting(value.TEMPORAL_ADDRESS, value.TEMPORAL_NAMESPACE ?? DEFAULT_NAMESPACE, given),
    home: value.LONGHAUL_HOME ?? join(xdg(given, 'XDG_DATA_HOME', '.local/share'), 'longhaul'),
    cacheDir: value.LONGHAUL_CACHE ?? join(xdg(given, 'XDG_CACHE_HOME', '.cache'), 'longhaul'),
    listen: { ...listen, fixed: value.LONGHAUL_LISTEN !== undefined },
    agentSlots: value.LONGHAUL_AGENT_SLOTS ?? Math.max(4, 2 * availableParallelism()),
    agentTimeouts: {
      startMs: 1_000 * (value.LONGHAUL_AGENT_START_TIMEOUT ?? 60),
      stallMs: 1_000 * (value.LONGHAUL_AGENT_STALL_TIMEOUT ?? 600),
      toolMs: 1_000 * (value.LONGHAUL_AGENT_TOOL_TIMEOUT ?? 7_200),
    },
    hibernateAfterMs: 1_000 * (value.LONGHAUL_HIBERNATE_AFTER ?? 600),
    verifyResume: value.LONGHAUL_VERIFY_RESUME !== 'off',
    hostName: value.LONGHAUL_HOST_NAME ?? hostname(),
    allowedHosts: value.LONGHAUL_ALLOWED_HOSTS ?? [],
    projectRoots: value.LONGHAUL_PROJECT_ROOTS ?? [],
    temporalContent: value.LONGHAUL_TEMPORAL_CONTENT ?? 'full',
    temporalUi: value.LONGHAUL_TEMPORAL_UI !== 'off',
    ...(value.LONGHAUL_TEMPORAL_UI_URL === undefined ? {} : { temporalUiUrl: value.LONGHAUL_TEMPORAL_UI_URL }),
    ...historyRetention(value.TEMPORAL_ADDRESS, value.LONGHAUL_HISTORY_RETENTION),
    recordings: {
      days: value.LONGHAUL_RECORDINGS_DAYS ?? 7,
      bytes: (value.LONGHAUL_RECORDINGS_MB ?? 1024) * 1024 * 1024,
    },
    parked: {
      count: value.LONGHAUL_PARKED_WORKTREES ?? 20,
      days: value.LONGHAUL_PARKED_DAYS ?? 7,
      bytes: (value.LONGHAUL_PARKED_GB ?? 10) * 1024 ** 3,
      freePercent: value.LONGHAUL_PARKED_FREE_PERCENT ?? 10,
    },
    ...(value.DATABASE_URL === undefined ? {} : { databaseUrl: value.DATABASE_URL }),
    ...(value.LONGHAUL_TOKEN_FILE === undefined ? {} : { tokenFile: value.LONGHAUL_TOKEN_FILE }),
  };
}

function historyRetention(
  address: string | undefined,
  days: number | undefined,
): Pick<Settings, 'historyRetentionDays'> {
  if (days === undefined && address !== undefined) return {};
  return { historyRetentionDays: days ?? HISTORY_RETENTION_DAYS };
}

/**
 * Returns a fingerprint: equal settings have equal fingerprints. The settings cannot be derived from the fingerprint.
 */
export function settingsFingerprint(settings: Settings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
}

/** Returns the value of a variable for a message, without the password of a URL. */
function shown(env: Readonly<Record<string, string | undefined>>, key: PropertyKey | undefined): string {
  return key === 'DATABASE_URL' ? 'something else' : JSON.stringify(env[String(key)]);
}

/**
 * Returns the folder that the variable names, otherwise `fallback`. A relative value is ignored, as the XDG
 * specification requires.
 */
function xdg(env: Readonly<Record<string, string | undefined>>, key: string, fallback: string): string {
  const value = env[key];
  return value !== undefined && isAbsolute(value) ? value : join(env['HOME'] ?? homedir(), fallback);
}

/**
 * Returns the connection to the user's Temporal, or that the embedded server is used. TLS, API key and profile are read
 * as Temporal's own tools read them, but only if TEMPORAL_ADDRESS is set. So a profile that happens to exist on the
 * machine does not move tasks to another server.
 */
function temporalSetting(
  address: string | undefined,
  namespace: string,
  env: Record<string, string | undefined>,
): TemporalSetting {
  if (address === undefined) return { kind: 'embedded', namespace };
  const overrideEnvVars = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  try {
    // The loader fails on an empty file, so users (and our supervisor) name the null device if no file is to be read.
    const disableFile = env['TEMPORAL_CONFIG_FILE'] === devNull;
    // Loaded only here, because it loads much of Temporal's client, which no command needs for an embedded server.
    const { loadClientConnectConfig } = createRequire(import.meta.url)(
      '@temporalio/envconfig',
    ) as typeof import('@temporalio/envconfig');
    const config = loadClientConnectConfig({ overrideEnvVars, disableFile });
    const connection = { ...config.connectionOptions, address };
    return { kind: 'server', address, target: { namespace: config.namespace ?? namespace, connection } };
  } catch (error) {
    throw new LonghaulError('invalid_input', `TEMPORAL_*: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
