// Records from which sources a build was made: `dist/sources.json` contains the size and modification time of each. A
// checkout runs its build only if all sources still have them. The comparison takes 3 ms, while compiling at run time
// takes most of a second.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folders of the compiler's inputs and of the files that the build copies. */
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

/** Returns path, size in bytes and modification time in ms of each source below `root`, as one text. */
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

/** Writes the record, the last file of a build. `sources`: the description from before the build read the sources. */
export function recordBuild(dist, sources) {
  writeFileSync(recordFile(dist), sources);
}

/** Returns whether `dist` is a complete build of the current sources. */
export function isBuildCurrent(root, dist) {
  try {
    return readFileSync(recordFile(dist), 'utf8') === describeSources(root);
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false;
    throw error;
  }
}
