import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Imports a module of the build that is measured. */
export function fromBuild(module) {
  const { BENCH_DIST } = process.env;
  if (BENCH_DIST === undefined) throw new Error('BENCH_DIST: expected the folder of a build, found nothing');
  return import(pathToFileURL(join(BENCH_DIST, module)).href);
}
