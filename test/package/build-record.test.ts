/** Which of build and sources a checkout's command runs. Both are replaced by a line that says which it is. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

let checkout: string;
/** What bin/build.js does with its record, in the checkout under test. */
let build: () => Promise<void>;

beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'longhaul-checkout-'));
  const sources = ['bin', 'cli', 'package.json', 'tsconfig.json', 'tsconfig.build.json', 'worker.ts'];
  for (const name of sources) await cp(join(ROOT, name), join(checkout, name), { recursive: true });
  const others =
    'activities agents backend client contract frames maintenance processes services store worker workflows worktrees';
  for (const name of others.split(' ')) await mkdir(join(checkout, name));
  await symlink(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  await writeFile(join(checkout, 'cli/main.ts'), "const which: string = 'sources';\nconsole.log(which);\n");
  const { describeSources, recordBuild } = (await import(join(checkout, 'bin/build-record.js'))) as {
    readonly describeSources: (root: string) => string;
    readonly recordBuild: (dist: string, sources: string) => void;
  };
  build = async () => {
    await mkdir(join(checkout, 'dist/cli'), { recursive: true });
    await writeFile(join(checkout, 'dist/cli/main.js'), "console.log('build');\n");
    recordBuild(join(checkout, 'dist'), describeSources(`${checkout}/`));
  };
});
afterAll(() => rm(checkout, { recursive: true, force: true }));

async function whichRuns(): Promise<string> {
  const { stdout } = await run(process.execPath, [join(checkout, 'bin/longhaul.js')], { cwd: tmpdir() });
  return stdout.trim();
}

test('the command runs the build while it matches the sources, and the sources after any change', async () => {
  expect(await whichRuns()).toBe('sources'); // there is no build yet
  await build();
  expect(await whichRuns()).toBe('build');

  await writeFile(join(checkout, 'worker.ts'), '// edited\n');
  expect(await whichRuns()).toBe('sources');
  await build();
  expect(await whichRuns()).toBe('build');

  await writeFile(join(checkout, 'cli/new.ts'), '');
  expect(await whichRuns()).toBe('sources');
  await build();

  await rename(join(checkout, 'cli/new.ts'), join(checkout, 'cli/moved.ts'));
  expect(await whichRuns()).toBe('sources');
  await build();

  await rm(join(checkout, 'cli/moved.ts'));
  expect(await whichRuns()).toBe('sources');
});

test('an interrupted build has no record and is not run', async () => {
  await build();
  await rm(join(checkout, 'dist/sources.json'));
  expect(await whichRuns()).toBe('sources');
});
