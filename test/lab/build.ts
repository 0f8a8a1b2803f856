/** What users run, made of the source as it stands: a folder as an installed package has it, with our node_modules. */
import { execFile } from 'node:child_process';
import { cp, mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

/** The first time, and again over an older one. */
export async function build(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of ['package.json', 'bin']) await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true }); // prettier-ignore
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules')).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  await node('bin/patch-postgres.js'); // as `npm ci` does
  await node('bin/build.js', folder);
  await compileScriptedAgent(path.join(folder, 'test'));
}

async function compileScriptedAgent(folder: string): Promise<void> {
  const how = ['--ignoreConfig', '--noCheck', '--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2023']; // prettier-ignore
  const source = path.join(ROOT, 'test/agents/scripted-agent.ts');
  await node('node_modules/typescript/bin/tsc', ...how, '--outDir', folder, source);
}

async function node(program: string, ...args: string[]): Promise<void> {
  await run(process.execPath, [path.join(ROOT, program), ...args]).catch((error: Error & { stdout: string }) => {
    throw new Error(`the source does not build: ${error.stdout}`, { cause: error });
  });
}
