/** Every test that docs/guarantees.md and the decisions name exists, and so does every title that they quote. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { GUARDS } from './faults/guard-list.ts';
import { testTitles } from './lab/test-titles.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const TESTS = path.join(ROOT, 'test');
const FOLDERS = readdirSync(TESTS).filter((name) => statSync(path.join(TESTS, name)).isDirectory());

interface Named {
  /** Below test/, without the ending: of a file, or of a folder. */
  readonly place: string;
  /** `…` replaces what the page leaves out. */
  readonly titles: readonly string[];
}

/** `faults/worker` "killed …", "told …", and also `test/faults/worker.test.ts` ("killed …"). */
function namedIn(page: string): Named[] {
  const places = [...page.matchAll(/`(?:test\/)?([a-z-]+(?:\/[a-z0-9-]+)+)(?:\.test\.ts)?`((?:,? \(?"[^"]+")*)/g)];
  return places
    .map((match) => ({
      place: match[1] ?? '',
      titles: [...(match[2] ?? '').matchAll(/"([^"]+)"/g)].map((one) => one[1] ?? ''),
    }))
    .filter(({ place }) => FOLDERS.includes(place.split('/')[0] ?? ''));
}

/** The test files of a place: itself, or those in the folder of that name. */
function filesOf(place: string): string[] {
  const file = path.join(TESTS, `${place}.test.ts`);
  if (existsSync(file)) return [file];
  const folder = path.join(TESTS, place);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith('.ts')).map((name) => path.join(folder, name)); // prettier-ignore
}

/** The parts of a quoted title occur in it, in their order. */
function quotes(quoted: string, title: string): boolean {
  let at = 0;
  for (const part of quoted.split('…').map((one) => one.trim())) {
    const found = title.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return true;
}

const titles = new Map<string, readonly string[]>();

function titlesOf(file: string): readonly string[] {
  const known = titles.get(file) ?? testTitles(file, readFileSync(file, 'utf8'));
  titles.set(file, known);
  return known;
}

/** What a page names and the tests do not have. */
function missingFrom(page: string): string[] {
  return namedIn(page).flatMap(({ place, titles: quoted }) => {
    const files = filesOf(place);
    if (files.length === 0) return [`${place}: no such test`];
    const known = files.flatMap(titlesOf);
    const missing = quoted.filter((title) => !known.some((one) => quotes(title, one)));
    return missing.map((title) => `${place}: no title "${title}"`);
  });
}

const read = (page: string): string =>
  readFileSync(path.join(ROOT, 'docs', page), 'utf8').replaceAll(/\n(?!\n|[|#-])/g, ' ');
const PAGES = ['guarantees.md', ...readdirSync(path.join(ROOT, 'docs/decisions')).map((name) => `decisions/${name}`)];

test.each(PAGES)('docs/%s names tests that exist, by titles that they have', (page) => {
  expect(missingFrom(read(page))).toEqual([]);
});

test('the guarantees name over 200 tests and quote over 50 titles', () => {
  const named = namedIn(read('guarantees.md'));
  expect(named.length).toBeGreaterThan(200);
  expect(named.flatMap(({ titles }) => titles).length).toBeGreaterThan(50);
});

/** The cells of the matrix get their titles from its moments. */
const guards = GUARDS.filter((guard) => !guard.test.startsWith('test/faults/matrix/'));

test.each(guards)('the guard $name names code and a test that exist', ({ file, break: broken, test: place, named }) => {
  const source = readFileSync(path.join(ROOT, file), 'utf8');
  expect(broken.map(([from]) => from).filter((from) => !source.includes(from))).toEqual([]);
  expect(titlesOf(path.join(ROOT, place)).filter((title) => title.includes(named))).toHaveLength(1);
});

describe('the reader of titles', () => {
  test.each([
    ["test('one', () => {}); test.skipIf(x).each([1])(`two ${x} %s`, () => {});", ['one', 'two ${x} %s']],
    ["describe('three', () => { test.each([['row', 1]])('%s four', () => {}); });", ['three', '%s four']],
    ["expect('five'); other('six'); regex.test('seven');", []],
  ])('reads %s', (source, expected) => {
    expect(testTitles('a.ts', source)).toEqual(expected);
  });

  test('a file or a title that does not exist is found', () => {
    expect(missingFrom('`faults/worker` "killed in mid-turn …", `faults/no-such-test`')).toEqual([
      'faults/no-such-test: no such test',
    ]);
    expect(missingFrom('| `faults/worker` "never a title …" |')).toEqual(['faults/worker: no title "never a title …"']);
    expect(quotes('a … c', 'a b c') && !quotes('c … a', 'a b c')).toBe(true);
  });
});
