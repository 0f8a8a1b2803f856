// Makes dist/: JavaScript and types, the migrations, the workflows as the one file that a worker loads, and the backend
// as one file. An argument names another folder, which must have node_modules; then dist/ is made there. npm runs this
// script after an install in a checkout (`prepare`), so that commands need not compile. The build is made beside the
// old one and replaces it as a whole.
import { spawnSync } from 'node:child_process';
import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describeSources, recordBuild } from './build-record.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(resolve(process.argv[2] ?? root), 'dist');
const dist = `${target}.${process.pid}`;
const sources = describeSources(root);

const manifest = compilerManifest();
if (manifest === undefined) {
  process.stderr.write('longhaul: TypeScript is not installed (npm ci --omit=dev?), so nothing is built.\n');
  process.exit(0);
}
process.on('exit', () => rmSync(dist, { recursive: true, force: true }));
const compiler = join(dirname(manifest), 'bin', 'tsc');
const options = ['-p', 'tsconfig.build.json', '--outDir', dist];
const compiled = spawnSync(process.execPath, [compiler, ...options], { cwd: root, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

cpSync(join(root, 'store', 'migrations'), join(dist, 'store', 'migrations'), { recursive: true });

const { makeBundle } = await import(pathToFileURL(join(dist, 'services', 'temporal', 'workflow-bundle.js')).href);
writeFileSync(join(dist, 'workflow-bundle.js'), withoutMap(await makeBundle()));

// Loaded only here, because without development dependencies there is no esbuild and nothing is built.
const { bundleBackend } = await import('./bundle-backend.js');
await bundleBackend(dist);
recordBuild(dist, sources);
rmSync(target, { recursive: true, force: true });
renameSync(dist, target);

function compilerManifest() {
  try {
    return createRequire(import.meta.url).resolve('typescript/package.json');
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/**
 * Replaces the workflow bundle's source map by an empty one. Temporal's sandbox looks up the call sites of each promise
 * in the map, which takes 10 ms of each task before its agent starts (two cores, Node 20). The map must exist. With an
 * empty map, stack traces name functions and lines of the bundle, which is not minified.
 */
function withoutMap(bundle) {
  const found = /^([^]*sourceMappingURL=data:application\/json;[^,]*base64,)([\w+/=]+)\s*$/.exec(bundle);
  if (!found) throw new Error('the workflow bundle has no source map where it is expected: at its end');
  const [, before, encoded] = found;
  const { version, file } = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8'));
  const map = { version, file, sources: [], names: [], mappings: '' };
  return before + Buffer.from(JSON.stringify(map)).toString('base64');
}
