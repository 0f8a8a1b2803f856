/** The sources of the program. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Not the program: tests and benchmarks may import anything; the starters in bin/ are JavaScript. */
const OUTSIDE = /^(?:node_modules|dist|test|bench|docs|vitest\..*|\..*)$/;

/** The text of each, by its path relative to the root, with slashes. */
export function readSources(): Map<string, string> {
  const sources = new Map<string, string>();
  for (const top of readdirSync(ROOT, { withFileTypes: true })) {
    if (OUTSIDE.test(top.name)) continue;
    const below = top.isDirectory()
      ? readdirSync(path.join(ROOT, top.name), { recursive: true, encoding: 'utf8' })
      : [''];
    for (const name of below) {
      const file = path.posix.join(top.name, name.replaceAll(path.sep, '/'));
      if (file.endsWith('.ts')) sources.set(file, readFileSync(path.join(ROOT, file), 'utf8'));
    }
  }
  return sources;
}
