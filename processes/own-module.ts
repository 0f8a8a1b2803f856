/** Locates modules of this package that are started as programs of their own: the sources, with tsx, or the build. */
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const fromSource = import.meta.url.endsWith('.ts');

/**
 * Returns the path of a module of this package: its source file if this module runs from source, otherwise its compiled
 * file. `name` is the path from the repository's root without an extension.
 */
export function ownModulePath(name: string): string {
  return fileURLToPath(new URL(`../${name}${fromSource ? '.ts' : '.js'}`, import.meta.url));
}

/**
 * Returns the arguments of node that precede the module `entry`. A source file needs tsx as a loader; a compiled file
 * needs no arguments.
 */
export function loaderArguments(entry: string): string[] {
  if (!entry.endsWith('.ts')) return [];
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href];
}

/**
 * Returns the environment variables that a program needs to run from source; none for compiled files. Without
 * TSX_TSCONFIG_PATH tsx would read the compiler options of its working folder, but ours are beside the sources.
 */
export function loaderEnv(): NodeJS.ProcessEnv {
  return fromSource ? { TSX_TSCONFIG_PATH: fileURLToPath(new URL('../tsconfig.json', import.meta.url)) } : {};
}
