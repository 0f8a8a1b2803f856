/** Modules of ours that are started as programs: by tsx from source, as they are from the build. */
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const fromSource = import.meta.url.endsWith('.ts');

/** Path of a module of this package, in source or compiled, named as from the repository's root without extension. */
export function moduleOfOurs(name: string): string {
  return fileURLToPath(new URL(`../${name}${fromSource ? '.ts' : '.js'}`, import.meta.url));
}

/** Node's arguments before a module of ours: from source it needs tsx, compiled it needs nothing. */
export function loaderArguments(entry: string): string[] {
  if (!entry.endsWith('.ts')) return [];
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href];
}

/** Without this variable tsx takes the compiler options of its working folder; ours are beside the source. */
export function loaderEnv(): NodeJS.ProcessEnv {
  return fromSource ? { TSX_TSCONFIG_PATH: fileURLToPath(new URL('../tsconfig.json', import.meta.url)) } : {};
}
