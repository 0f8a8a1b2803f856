/**
 * Each file that a home's parts are found by, damaged in each way, while all runs and while nothing does. A run takes one
 * damage of each file; `LONGHAUL_DAMAGED_HOME=all` takes all of them, which is 20 minutes more.
 */
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DAMAGES, keepCopy } from '../lab/damage.ts';
import { longhaul, type Ran } from '../lab/longhaul.ts';

/** Of a command on an undamaged home it takes under a second on an idle machine; on a busy one more. */
const COMMAND_MS = 5_000;
const UP_MS = 120_000;

/** The last part may be any name in the folder. */
const FILES = [
  'run/state.json',
  'run/worker.json',
  'run/backend.json',
  'run/supervisor.lock/*',
  'temporal/server.json',
  'postgres/server.json',
];
/** Records that cannot be determined again: the message says what to do. */
const SECRETS = ['postgres/password', 'token'];
const DAMAGE = Object.keys(DAMAGES);

/** One damage of each file: the first file's is the one with the index `from`, and each further file has the next one. */
function casesOf(files: readonly string[], from: number): (readonly [file: string, damage: string])[] {
  const cases = files.flatMap((file) => DAMAGE.map((damage) => [file, damage] as const));
  return process.env['LONGHAUL_DAMAGED_HOME'] === 'all'
    ? cases
    : cases.filter((_, index) => (index - Math.floor(index / DAMAGE.length)) % DAMAGE.length === from);
}

let home: string;
let usualMs: number;
beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'longhaul-damaged-'));
  expect(await run('up', '-d')).toMatchObject({ code: 0 });
  usualMs = (await timed('status')).ms;
}, UP_MS);
afterAll(async () => {
  expect(await run('down')).toMatchObject({ code: 0 });
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
}, UP_MS);

const run = (...args: string[]): Promise<Ran> => longhaul(home, args, {}, UP_MS);

async function timed(...args: string[]): Promise<{ ran: Ran; ms: number }> {
  const since = performance.now();
  const ran = await run(...args);
  return { ran, ms: performance.now() - since };
}

async function fileOf(name: string): Promise<string> {
  const file = path.join(home, name);
  if (!name.endsWith('/*')) return file;
  const folder = path.dirname(file);
  return path.join(folder, (await readdir(folder))[0] ?? '');
}

/** Of which version a part is, is lost with its record until it starts again. The supervisor may be another one. */
const partsOf = ({ parts }: { parts: { name: string; pid: number; version?: unknown }[] }): object[] =>
  parts.filter(({ name }) => name !== 'supervisor').map((part) => ({ ...part, version: undefined }));

/** No dump: one line for a person, or more where it quotes a log. */
function expectSentence({ code, stderr }: Ran): void {
  expect([0, 1, 2, 4]).toContain(code);
  expect(stderr).not.toMatch(/^\s+at |ZodError|invalid_type|SyntaxError|TypeError/m);
  if (code !== 0 && stderr !== '') expect(stderr).toMatch(/^longhaul: |^\w+ +\w+/);
}

async function expectAnswers(): Promise<void> {
  for (const command of ['status', 'ls', 'agents']) {
    const { ran, ms } = await timed(command);
    expectSentence(ran);
    expect(ms, `${command}: ${ran.stdout}${ran.stderr}`).toBeLessThan(COMMAND_MS + 4 * usualMs);
  }
}

async function expectWhole(): Promise<void> {
  expect(await run('up', '-d')).toMatchObject({ code: 0 });
  const status = await run('status');
  expect(status).toMatchObject({ code: 0 });
  expect(await run('ls')).toMatchObject({ code: 0 });
}

test.each(casesOf(FILES, 0))(
  'while all runs, %s is %s: commands answer, and up -d finds what runs',
  async (name, damage) => {
    const before = JSON.parse((await run('status', '--json')).stdout) as { parts: { name: string; pid: number }[] };
    const file = await fileOf(name);
    // The supervisor writes its own files again; the others are written when their part starts.
    const copy = /state|lock/.test(name) ? undefined : await keepCopy(file);
    await DAMAGES[damage]?.(file);
    await expectAnswers();
    const { ran, ms } = await timed('up', '-d');
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(ms).toBeLessThan(30_000 + 4 * usualMs);
    await expectWhole();
    const after = JSON.parse((await run('status', '--json')).stdout) as typeof before;
    expect(partsOf(after)).toEqual(partsOf(before));
    await copy?.restore();
  },
);

test.each(
  casesOf(
    FILES.filter((name) => !name.endsWith('/*')),
    2,
  ),
)('while nothing runs, %s is %s: commands answer, and up -d starts all of it', async (name, damage) => {
  expect(await run('down')).toMatchObject({ code: 0 });
  await DAMAGES[damage]?.(await fileOf(name));
  await expectAnswers();
  await expectWhole();
});

test.each(casesOf(SECRETS, 0))(
  '%s is %s: commands answer, and up -d works or says what to do',
  async (name, damage) => {
    const file = path.join(home, name);
    const copy = await keepCopy(file);
    await DAMAGES[damage]?.(file);
    await expectAnswers();
    expectSentence(await run('up', '-d'));
    expect(await run('down')).toMatchObject({ code: 0 });
    await expectAnswers();
    const { ran, ms } = await timed('up', '-d');
    expectSentence(ran);
    if (ran.code !== 0) {
      expect(ran.stderr).toContain(file);
      expect(ms).toBeLessThan(COMMAND_MS + 10 * usualMs);
      await run('down');
    }
    // A password that was lost has been replaced: the former one is no longer valid.
    if (ran.code !== 0 || name !== 'postgres/password') await copy.restore();
    await chown(file, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    await expectWhole();
  },
);
