// Which sources a build was made from: `dist/sources.json` has size and modification time of each. A checkout runs its build
// only if all of them are as they were then. Comparing takes 3 ms; to compile at run time takes most of a second.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The inputs of the compiler, and the files that the build copies. */
const FOLDERS = [
  'activities',
  'agents',
  'backend',
  'bin',
  'cli',
  'client',
  'contract',
  'frames',
  'maintenance',
  'processes',
  'services',
  'store',
  'worker',
  'workflows',
  'worktrees',
];
const FILES = ['worker.ts', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

const recordFile = (dist) => join(dist, 'sources.json');

/** Path, size in bytes and modification time in ms of each source below `root`, as one text. */
export function describeSources(root) {
  const paths = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  const described = [...paths.toSorted((a, b) => (a < b ? -1 : 1)), ...FILES.map((name) => join(root, name))].map(
    (path) => {
      const { size, mtimeMs } = statSync(path);
      return [path.slice(root.length), size, mtimeMs];
    },
  );
  return JSON.stringify(described);
}

/** `sources`: described before the build read them. The last file that a build writes. */
export function recordBuild(dist, sources) {
  writeFileSync(recordFile(dist), sources);
}

/** Whether `dist` is a complete build of the current sources. */
export function isBuildCurrent(root, dist) {
  try {
    return readFileSync(recordFile(dist), 'utf8') === describeSources(root);
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
    throw error;
  }
}
