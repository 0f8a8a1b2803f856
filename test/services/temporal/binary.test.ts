import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findTemporal, TEMPORAL_VERSION } from '../../../services/temporal/binary.ts';

let folder: string;
let lines: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-temporal-'));
  lines = [];
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function program(path: string, script: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

const cacheOf = (): string => join(folder, 'cache');
const cachedProgram = (): string => join(cacheOf(), 'temporal', TEMPORAL_VERSION, 'temporal');
const find = (options: { releases?: string; signal?: AbortSignal } = {}) =>
  findTemporal({
    cacheDir: cacheOf(),
    env: process.env,
    path: join(folder, 'bin'),
    // No process listens on port 9: refused at once.
    releases: 'http://127.0.0.1:9',
    onProgress: (line) => lines.push(line),
    ...options,
  });

/** A stand-in for the Go toolchain that notes each run, takes a moment, and installs a program. */
const fakeGo = (): Promise<string> =>
  program(
    join(folder, 'bin', 'go'),
    `echo "$@" >> ${folder}/runs; echo one >&2; /bin/sleep 0.5; /bin/mkdir -p "$GOBIN"; echo '#!/bin/sh' > "$GOBIN/temporal"; /bin/chmod +x "$GOBIN/temporal"`,
  );

test('temporal on PATH is preferred to the copy in the cache, and the copy to everything else', async () => {
  await program(cachedProgram(), 'true');
  expect(await find()).toBe(cachedProgram());
  const onPath = await program(join(folder, 'bin', 'temporal'), 'true');
  expect(await find()).toBe(onPath);
  expect(lines).toEqual([]);
});

test('without a download it is built, once for two concurrent callers, and only the program remains', async () => {
  await fakeGo();
  // Left by a builder that was killed.
  await mkdir(join(cachedProgram(), '..', '.work-1', 'cache'), { recursive: true });
  expect(await Promise.all([find(), find()])).toEqual([cachedProgram(), cachedProgram()]);
  const what = `install -v -modcacherw -ldflags -s -w github.com/temporalio/cli/cmd/temporal@${TEMPORAL_VERSION}\n`;
  expect(await readFile(join(folder, 'runs'), 'utf8')).toBe(what);
  expect(await readdir(join(cachedProgram(), '..'))).toEqual(['temporal']);
  expect(lines.join('\n')).toMatch(/downloading .*no download .*building .*built in/s);
});

test('without download and Go the message says what can be done', async () => {
  await expect(find()).rejects.toMatchObject({
    code: 'service_unreachable',
    message: expect.stringMatching(/not on PATH.*download failed.*no `go`.*TEMPORAL_ADDRESS/),
  });
});

test('a stop during the build ends the compiler and leaves no files', async () => {
  await program(join(folder, 'bin', 'go'), `echo $$ > ${folder}/pid; exec /bin/sleep 600`);
  const stop = new AbortController();
  const finding = find({ signal: stop.signal });
  await expect.poll(() => readFile(join(folder, 'pid'), 'utf8').catch(() => '')).toMatch(/\d/);
  stop.abort();
  await expect(finding).rejects.toMatchObject({ name: 'AbortError' });
  expect(await readdir(join(cachedProgram(), '..'))).toEqual([]);
  const compiler = Number(await readFile(join(folder, 'pid'), 'utf8'));
  expect(() => process.kill(compiler, 0)).toThrow('ESRCH');
});

test('a download without a response is abandoned after 10 s', async () => {
  await fakeGo();
  const server: Server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const started = Date.now();
  expect(await find({ releases: `http://127.0.0.1:${port}` })).toBe(cachedProgram());
  expect(Date.now() - started).toBeLessThan(15_000);
  expect(lines.join('\n')).toContain('no data arrived for 10 s');
  server.closeAllConnections();
  server.close();
});
