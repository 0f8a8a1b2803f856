// Makes dist/: JavaScript and types, the migrations, and the workflows as the one file that a worker loads.
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });

const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
const compiler = join(dirname(manifest), 'bin', 'tsc');
const compiled = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

cpSync(join(root, 'store', 'migrations'), join(dist, 'store', 'migrations'), { recursive: true });

const { makeBundle } = await import(new URL('../dist/services/workflow-bundle.js', import.meta.url).href);
writeFileSync(join(dist, 'workflow-bundle.js'), await makeBundle());
