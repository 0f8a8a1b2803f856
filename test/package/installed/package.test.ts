import { execFile, execFileSync } from 'node:child_process';
import { chown, copyFile, mkdir, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { home, place, type Result, run, user } from './lab.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const globalPackages = join(place, 'global', 'lib', 'node_modules');
/** As a version manager or a script of the user's would have it: a link to npm's link. */
const command = join(place, 'bin', 'longhaul');
const repository = join(home, 'project');

const status = z.object({
  database_url: z.string(),
  temporal_address: z.string(),
  parts: z.array(z.object({ name: z.string(), state: z.string(), pid: z.number().nullable() })),
});

const longhaul = (...args: string[]): Promise<Result> => run(command, args, repository);
async function ok(result: Promise<Result>): Promise<string> {
  const { code, out, err } = await result;
  if (code !== 0) throw new Error(`expected exit code 0, found ${code}:\n${out}\n${err}`);
  return out;
}
const readStatus = async (): Promise<z.infer<typeof status>> =>
  status.parse(JSON.parse(await ok(longhaul('status', '--json'))));

beforeAll(async () => {
  await mkdir(repository, { recursive: true });
  if (user.uid !== undefined && user.gid !== undefined) {
    for (const folder of [home, repository]) await chown(folder, user.uid, user.gid);
  }
  await symlink(join(place, 'global', 'bin', 'longhaul'), command);
  await ok(run('git', ['init', '-q'], repository));
  await ok(run('git', ['-c', 'user.name=n', '-c', 'user.email=e', 'commit', '-q', '--allow-empty', '-m', 'x'], repository)); // prettier-ignore
});
afterAll(() => longhaul('down'));

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

test('the tarball contains the complete compiled program, and no build files', () => {
  const list = execFileSync('tar', ['-tzf', join(place, 'longhaul.tgz')], { encoding: 'utf8' })
    .trim()
    .split('\n');
  const inPackage = list.map((name) => name.replace(/^package\//, ''));
  const tracked = execFileSync('git', ['ls-files', '--', '*.ts', '*.sql'], { cwd: ROOT, encoding: 'utf8' });
  const sources = tracked.trim().split('\n').filter((name) => !/^(?:test|bench|docs)\/|^vitest\./.test(name)); // prettier-ignore
  expect(sources.length).toBeGreaterThan(150);
  const built = sources.flatMap((name) =>
    name.endsWith('.ts') ? [name.replace(/ts$/, 'js'), name.replace(/ts$/, 'd.ts')] : [name],
  );
  const dist = inPackage.filter((name) => name.startsWith('dist/')).sort();
  expect(dist).toEqual(
    [...built, 'workflow-bundle.js', 'backend/BUNDLED-LICENSES.txt'].map((name) => `dist/${name}`).sort(),
  );
});

test('an install has no development tools, and no links to files of the machine that built it', async () => {
  const packages = join(place, 'app', 'node_modules');
  const present = await readdir(packages);
  for (const name of ['tsx', 'vitest', 'typescript', 'knip', 'prettier']) expect(present).not.toContain(name);
  const dist = join(packages, 'longhaul', 'dist');
  for (const file of (await filesBelow(dist)).filter((name) => name.endsWith('.js'))) {
    const text = await readFile(file, 'utf8');
    const map = /sourceMappingURL=data:[^,]*,([\w+/=]+)\s*$/.exec(text)?.[1];
    if (file !== join(dist, 'workflow-bundle.js')) expect([file, map]).toEqual([file, undefined]);
    else expect(Buffer.from(map ?? '', 'base64').toString()).toMatch(/"sources":\[\]/);
    expect([file, text.includes(ROOT)]).toEqual([file, false]);
  }
});

test('in an empty folder `npx longhaul demo` shows one task from beginning to end', async () => {
  const shown = await ok(run('npx', ['longhaul', 'demo'], join(place, 'app')));
  expect(shown).toContain('Everything of the demo is removed.');
});

describe('installed by another user, without install scripts, in a read-only folder', () => {
  let before: string[];
  beforeAll(async () => {
    before = await filesBelow(globalPackages);
    await ok(longhaul('up', '-d'));
  });

  test("a task completes; its change contains the agent's edits", async () => {
    await ok(longhaul('run', '--agent', 'demo', 'Write hello.txt with "Hello".'));
    const [task] = z.array(z.object({ id: z.string() })).parse(JSON.parse(await ok(longhaul('ls', '--json'))));
    expect(await ok(longhaul('diff', task?.id ?? ''))).toContain('+Hello');
  });

  test('a worker that is killed in mid-turn is replaced by `up -d`, and the task completes', async () => {
    const submitted = await ok(longhaul('submit', '--json', '--agent', 'demo', 'Write a.txt with "once". Slowly over 3 seconds. Say "Nearly done by now".')); // prettier-ignore
    const { id } = z.object({ id: z.string() }).parse(JSON.parse(submitted));
    await expect.poll(() => longhaul('show', '--json', id).then(({ out }) => out), { timeout: 60_000 }).toContain('"working"'); // prettier-ignore
    const worker = (await readStatus()).parts.find((part) => part.name === 'worker')?.pid;
    process.kill(worker ?? NaN, 'SIGKILL');
    await ok(longhaul('up', '-d'));
    await ok(longhaul('watch', id));
    expect((await ok(longhaul('diff', id))).match(/^\+once$/gm)).toHaveLength(1);
  });

  test("a user's program, checked strictly against our types, submits, follows and cancels", async () => {
    const app = join(place, 'app');
    await copyFile(join(ROOT, 'test/package/installed/sample.mts'), join(app, 'sample.mts'));
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const options = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node', '--pretty', 'false'];
    const compiler = promisify(execFile)(process.execPath, [tsc, ...options, 'sample.mts'], { cwd: app });
    const said = await compiler.then(
      ({ stdout }) => stdout,
      (error: unknown) => z.object({ stdout: z.string() }).parse(error).stdout,
    );
    // Temporal's own types lack those of a package that they use.
    expect(said.split('\n').filter((line) => /^\S/.test(line) && !line.startsWith('node_modules/@temporalio/'))).toEqual([]); // prettier-ignore
    const { database_url: databaseUrl, temporal_address: address } = await readStatus();
    const { code, out, err } = await run('node', [join(app, 'sample.mjs'), databaseUrl, address, repository], app);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.trim().split('\n').slice(-2)).toEqual(['cancelled', 'agent_unknown']);
  });

  test('nothing was written into the package, and no workflow was compiled', async () => {
    await ok(longhaul('down'));
    expect(await filesBelow(globalPackages)).toEqual(before);
    await expect(stat(join(home, '.cache/longhaul/workflow-bundles'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
