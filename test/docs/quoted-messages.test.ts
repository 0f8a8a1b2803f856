/** What the documents quote from the program, and the settings that they name, are what the program has. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const TOP = ['activities', 'agents', 'backend', 'cli', 'client', 'contract', 'frames', 'maintenance', 'processes', 'services', 'store', 'worker', 'workflows', 'worktrees']; // prettier-ignore
/** Paths from the root. */
function filesBelow(folder: string, ending: string): string[] {
  const names = readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith(ending)).map((name) => path.join(folder, name));
}
/** Messages of Postgres and of the TLS library, seen when the cases were made. */
const OF_OTHERS = ['password authentication failed', 'CaUsedAsEndEntity', 'UnknownIssuer'];
/** A shorter text may match by chance. */
const SHORTEST = 8;

const sources = [...TOP.flatMap((folder) => filesBelow(folder, '.ts')), 'worker.ts'].map(read);
// A long message is put together from several strings.
const program = sources.join('\n').replaceAll(/['"`] \+\s*['"`]/g, '').replaceAll(/\\(['`])/g, '$1') + OF_OTHERS.join('\n'); // prettier-ignore

/** The code of the first column of each table. */
function symptoms(): string[] {
  const rows = read('docs/troubleshooting.md').split('\n').filter((line) => line.startsWith('| ')); // prettier-ignore
  return rows.flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ''));
}

test('every message that the troubleshooting page quotes exists in the program', () => {
  const quoted = symptoms();
  expect(quoted.length).toBeGreaterThan(20);
  const parts = quoted.flatMap((text) => text.split(/…|: /)).map((part) => part.trim());
  const stale = parts.filter((part) => part.length >= SHORTEST && !program.includes(part));
  expect(stale).toEqual([]);
});

test('README names every setting of Longhaul, and no other', () => {
  const known = new Set([...read('services/settings.ts').matchAll(/(?:^ {2}|\(\{ )((?:LONGHAUL_|DEFAULT_)\w+):/gm)].map((match) => match[1])); // prettier-ignore
  const table = read('README.md').split('## Settings')[1]?.split('\n## ')[0] ?? '';
  const named = new Set([...table.matchAll(/`((?:LONGHAUL_|DEFAULT_)\w+)`/g)].map((match) => match[1]));
  expect([...known].filter((name) => !named.has(name))).toEqual([]);
  expect([...named].filter((name) => !known.has(name))).toEqual([]);
});

test('links between the documents lead to existing files', () => {
  const pages = ['README.md', 'CHANGELOG.md', ...filesBelow('docs', '.md')];
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
      .map((match) => path.join(path.dirname(page), match[1] ?? ''))
      .filter((target) => !existsSync(path.join(ROOT, target)))
      .map((target) => `${page} → ${target}`),
  );
  expect(broken).toEqual([]);
});
