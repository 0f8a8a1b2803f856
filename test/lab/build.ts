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
  await run(process.execPath, [path.join(ROOT, 'bin', 'patch-postgres.js')]); // as `npm ci` does
  await run(process.execPath, [path.join(ROOT, 'bin', 'build.js'), folder]).catch(
    (error: Error & { stdout: string }) => {
      throw new Error(`the source does not build: ${error.stdout}`, { cause: error });
    },
  );
}
