import { availableParallelism, hostname } from 'node:os';
import { expect, test } from 'vitest';
import { readSettings, refuseInvalidDefaultModel } from '../../services/settings.ts';

test('an empty environment gives embedded services and folders by XDG', () => {
  expect(readSettings({ HOME: '/home/ada', LONGHAUL_LISTEN: '' })).toEqual({
    temporal: { kind: 'embedded', namespace: 'default' },
    home: '/home/ada/.local/share/longhaul',
    cacheDir: '/home/ada/.cache/longhaul',
    listen: { host: '127.0.0.1', port: 4700, fixed: false },
    agentSlots: Math.max(4, 2 * availableParallelism()),
    agentTimeouts: { startMs: 60_000, stallMs: 600_000, toolMs: 7_200_000 },
    hibernateAfterMs: 600_000,
    verifyResume: true,
    hostName: hostname(),
    allowedHosts: [],
    recordings: { days: 7, bytes: 1024 * 1024 * 1024 },
    parked: { count: 20, days: 7, bytes: 10 * 1024 ** 3, freePercent: 10 },
    projectRoots: [],
    temporalContent: 'full',
    temporalUi: true,
    historyRetentionDays: 30,
  });
  const xdg = { HOME: '/home/ada', XDG_DATA_HOME: '/data', XDG_CACHE_HOME: 'relative' };
  expect(readSettings(xdg)).toMatchObject({ home: '/data/longhaul', cacheDir: '/home/ada/.cache/longhaul' });
});

test('every setting can be set, and a set listen address is fixed', () => {
  const settings = readSettings({
    DATABASE_URL: 'postgres://u:p@db/longhaul',
    TEMPORAL_ADDRESS: 'temporal.example:7233',
    TEMPORAL_NAMESPACE: 'work',
    TEMPORAL_API_KEY: 'key',
    TEMPORAL_CONFIG_FILE: '/dev/null',
    LONGHAUL_HOME: '/h',
    LONGHAUL_CACHE: '/c',
    LONGHAUL_LISTEN: '[::1]:0',
    LONGHAUL_AGENT_SLOTS: '3',
    LONGHAUL_AGENT_START_TIMEOUT: '4',
    LONGHAUL_AGENT_STALL_TIMEOUT: '5',
    LONGHAUL_HIBERNATE_AFTER: '7',
    LONGHAUL_VERIFY_RESUME: 'off',
    LONGHAUL_AGENT_TOOL_TIMEOUT: '6',
    LONGHAUL_HOST_NAME: 'box-1',
    LONGHAUL_PROJECT_ROOTS: '/src:/work',
    LONGHAUL_TOKEN_FILE: '/run/secrets/token',
    LONGHAUL_ALLOWED_HOSTS: 'backend, tasks.example',
    LONGHAUL_TEMPORAL_CONTENT: 'none',
    LONGHAUL_TEMPORAL_UI: 'off',
    LONGHAUL_TEMPORAL_UI_URL: 'http://ui:8233',
    LONGHAUL_HISTORY_RETENTION: '7',
    LONGHAUL_RECORDINGS_DAYS: '3',
    LONGHAUL_RECORDINGS_MB: '2',
    LONGHAUL_PARKED_WORKTREES: '3',
    LONGHAUL_PARKED_DAYS: '4',
    LONGHAUL_PARKED_GB: '5',
    LONGHAUL_PARKED_FREE_PERCENT: '6',
  });
  expect(settings).toMatchObject({
    databaseUrl: 'postgres://u:p@db/longhaul',
    home: '/h',
    cacheDir: '/c',
    listen: { host: '::1', port: 0, fixed: true },
    agentSlots: 3,
    agentTimeouts: { startMs: 4_000, stallMs: 5_000, toolMs: 6_000 },
    hibernateAfterMs: 7_000,
    verifyResume: false,
    hostName: 'box-1',
    projectRoots: ['/src', '/work'],
    tokenFile: '/run/secrets/token',
    allowedHosts: ['backend', 'tasks.example'],
    temporalContent: 'none',
    temporalUi: false,
    temporalUiUrl: 'http://ui:8233',
    historyRetentionDays: 7,
    recordings: { days: 3, bytes: 2 * 1024 * 1024 },
    parked: { count: 3, days: 4, bytes: 5 * 1024 ** 3, freePercent: 6 },
  });
  expect(settings.temporal).toMatchObject({
    kind: 'server',
    target: { namespace: 'work', connection: { address: 'temporal.example:7233', apiKey: 'key', tls: true } },
  });
});

test.each([
  ['DATABASE_URL', 'postgres://'],
  ['DATABASE_URL', 'postgres://u:pa/ss@host/db'],
  ['DATABASE_URL', 'postgres://u:pa%ss@host/db'],
  ['DATABASE_URL', 'postgres://host:99999/db'],
  ['DATABASE_URL', 'postgres://host:port/db'],
  ['DATABASE_URL', 'host=db user=u'],
  ['LONGHAUL_LISTEN', '127.0.0.1:65536'],
  ['LONGHAUL_LISTEN', '127.0.0.256:4700'],
  ['LONGHAUL_LISTEN', '127.1.1:4700'],
  ['LONGHAUL_LISTEN', '[::g]:4700'],
  ['LONGHAUL_LISTEN', '[1:2]:4700'],
  ['LONGHAUL_LISTEN', 'host/path:4700'],
  ['LONGHAUL_LISTEN', 'http://127.0.0.1:4700'],
])('%s=%s is refused in one line', (name, value) => {
  expect(() => readSettings({ [name]: value })).toThrow(
    expect.objectContaining({
      code: 'invalid_input',
      message: expect.stringMatching(new RegExp(`^${name}: expected [^\n]+, found [^\n]+$`)) as string,
    }),
  );
});

test.each([
  ['DATABASE_URL', 'postgres://u:p%40ss@host:5432/db?sslmode=require'],
  ['DATABASE_URL', 'postgresql:///longhaul'],
  ['LONGHAUL_LISTEN', 'localhost:4700'],
  ['LONGHAUL_LISTEN', 'my-host.example:0'],
])('%s=%s is accepted', (name, value) => {
  expect(readSettings({ [name]: value })).toBeDefined();
});

test('all invalid values are named at once, a database password never', () => {
  const wrong = {
    DATABASE_URL: 'mysql://u:secret@db',
    TEMPORAL_ADDRESS: 'http://x',
    LONGHAUL_HOME: 'relative',
    LONGHAUL_LISTEN: '4700',
    LONGHAUL_AGENT_SLOTS: '0',
    LONGHAUL_AGENT_STALL_TIMEOUT: '10m',
    LONGHAUL_AGENT_TOOL_TIMEOUT: '0',
    LONGHAUL_HOST_NAME: 'a b',
    LONGHAUL_PROJECT_ROOTS: '/a:b',
    LONGHAUL_TEMPORAL_CONTENT: 'some',
    LONGHAUL_TEMPORAL_UI: 'maybe',
    LONGHAUL_HISTORY_RETENTION: '0',
    LONGHAUL_RECORDINGS_DAYS: '0',
    LONGHAUL_RECORDINGS_MB: '-1',
    LONGHAUL_PARKED_WORKTREES: '1001',
    LONGHAUL_PARKED_DAYS: '0',
    LONGHAUL_PARKED_GB: '-1',
    LONGHAUL_PARKED_FREE_PERCENT: '91',
  };
  let message = '';
  try {
    readSettings(wrong);
  } catch (error) {
    message = error instanceof Error ? error.message : '';
    expect(error).toMatchObject({ code: 'invalid_input' });
  }
  const lines = message.split('\n');
  expect(new Set(lines.map((line) => line.split(':')[0]))).toEqual(new Set(Object.keys(wrong)));
  expect(lines).toHaveLength(Object.keys(wrong).length);
  expect(lines).toContain('LONGHAUL_AGENT_SLOTS: expected 1 to 1000, found "0"');
  expect(lines).toContain('LONGHAUL_AGENT_STALL_TIMEOUT: expected a whole number of seconds, found "10m"');
  expect(lines).toContain('LONGHAUL_AGENT_TOOL_TIMEOUT: expected 1 to 1000000 seconds, found "0"');
  expect(message).not.toContain('secret');
});

test('how long a Temporal that is not the embedded one keeps histories is known only if it is set', () => {
  const TEMPORAL_ADDRESS = 'temporal.example:7233';
  const TEMPORAL_CONFIG_FILE = '/dev/null';
  const read = (more: NodeJS.ProcessEnv): unknown =>
    readSettings({ TEMPORAL_ADDRESS, TEMPORAL_CONFIG_FILE, ...more }).historyRetentionDays;
  expect([read({}), read({ LONGHAUL_HISTORY_RETENTION: '7' })]).toEqual([undefined, 7]);
});

test('a DEFAULT_MODEL of another program refuses a start, and nothing else', () => {
  const others = { DEFAULT_MODEL: 'gpt-5' };
  expect(() => refuseInvalidDefaultModel(others)).toThrow(
    'DEFAULT_MODEL: expected PROVIDER/MODEL such as local/qwen3 or anthropic/claude-sonnet-4-5, found "gpt-5"',
  );
  expect(() => readSettings(others)).not.toThrow();
  for (const DEFAULT_MODEL of ['local/qwen3', 'openai/a/b', '', undefined])
    expect(() => refuseInvalidDefaultModel({ DEFAULT_MODEL })).not.toThrow();
});
