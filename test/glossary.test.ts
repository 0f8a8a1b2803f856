import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { declaredNames, wordsOf } from './lab/declared-names.ts';
import { readSources } from './lab/sources.ts';
import { testTitles } from './lab/test-titles.ts';

interface Entry {
  readonly word: string;
  readonly avoided: readonly string[];
}

/** `reserved`: the word is right in the meaning that stands in parentheses, so a name may have it. */
const avoidedIn = (cell: string): { readonly words: string; readonly reserved: boolean }[] =>
  cell
    .split(/,(?![^(]*\))/)
    .map((one) => one.trim())
    .filter((one) => one !== '')
    .map((one) => ({ words: one.replace(/ \(.*\)$/, ''), reserved: one.endsWith(')') }));

/** The rows of the glossary's tables: the word is in the first column, the words to avoid are in the last one. */
function readGlossary(): Entry[] {
  const rows = readFileSync(new URL('../docs/glossary.md', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---') && !line.startsWith('| word |'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  return rows.map((cells) => ({
    word: cells[1] ?? '',
    avoided: avoidedIn(cells.at(-2) ?? '').flatMap(({ words, reserved }) => (reserved ? [] : [words])),
  }));
}

/** An avoided word may be several: `data dir` is found in `dataDirOf`. A plural counts as its singular. */
function avoidedWordIn(name: string, avoided: readonly string[]): string | undefined {
  const words = ` ${wordsOf(name).join(' ')} `;
  return avoided.find((one) => words.includes(` ${one} `) || words.includes(` ${one}s `));
}

/** By name, the first file that declares it. A file's own name counts, too. */
function allNames(): Map<string, string> {
  const names = new Map<string, string>();
  for (const [file, source] of readSources()) {
    for (const name of [path.basename(file), ...declaredNames(file, source)]) {
      if (!names.has(name)) names.set(name, file);
    }
  }
  return names;
}

const ROOT = new URL('../', import.meta.url);
const textOf = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8');

/** The words of the second table: everyday speech, which has a plain word in the field. */
function everydayWords(): string[] {
  const [, table = ''] = textOf('docs/glossary.md').split('\nWords of everyday speech');
  const rows = table.split('\n').filter((line) => /^\| (?!---|word \|)/.test(line));
  return rows.flatMap((row) => (row.split('|').at(-2) ?? '').split(',').map((word) => word.trim()));
}

/** Text without code, and links without their targets. */
const proseOf = (page: string): string =>
  page.replaceAll(/^```[^]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '').replaceAll(/\]\([^)]*\)/g, ']'); // prettier-ignore

/** Pages and titles of tests, by where they are. The changelog is history. */
function proseToRead(): [place: string, text: string][] {
  const below = (folder: string, ending: RegExp): string[] =>
    readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
      .filter((name) => ending.test(name))
      .map((name) => path.posix.join(folder, name));
  const pages = ['README.md', ...below('docs', /(?<!glossary)\.md$/)];
  const tests = below('test', /(?:\.test|suite|cells)\.ts$/);
  return [
    ...pages.map((page): [string, string] => [page, proseOf(textOf(page))]),
    ...tests.map((file): [string, string] => [file, testTitles(file, textOf(file)).join('\n')]),
  ];
}

const glossary = readGlossary();
const avoided = glossary.flatMap((entry) => entry.avoided);

test('the glossary has one entry a word, and no entry avoids the word of another', () => {
  const words = glossary.map(({ word }) => word);
  expect(words.length).toBeGreaterThan(50);
  expect(words.filter((word, at) => words.indexOf(word) !== at)).toEqual([]);
  expect(words.filter((word) => word === '' || word.includes(','))).toEqual([]);
  expect(words.filter((word) => avoided.includes(word))).toEqual([]);
});

test('no name in the sources has a word that the glossary avoids', () => {
  const names = allNames();
  expect(names.size).toBeGreaterThan(3_000);
  const found = [...names].flatMap(([name, file]) => {
    const word = avoidedWordIn(name, avoided);
    return word === undefined ? [] : [{ name, file, word }];
  });
  expect(found.map(({ name, file, word }) => `${file}: ${name} (the glossary avoids "${word}")`)).toEqual([]);
});

test('no page and no title of a test has a word of everyday speech that the glossary replaces', () => {
  const words = everydayWords();
  expect(words).toContain('goes on');
  const texts = proseToRead();
  expect(texts.length).toBeGreaterThan(200);
  const pattern = new RegExp(`\\b(?:${words.join('|')})\\b`, 'gi');
  const found = texts.flatMap(([place, text]) => [...text.matchAll(pattern)].map((match) => `${place}: ${match[0]}`));
  expect(found).toEqual([]);
});

describe('the reader of names', () => {
  test.each([
    ['const { a, b: [c = 1, ...d] } = e, f = { g: 1, h() {} };', 'a c d f g h'],
    ['function one(two: string, { three }: Four = {}) { for (const five of two) {} }', 'one two three five'],
    [
      'export class A<T> extends B { #c = 1; constructor(private readonly d: string) {} static e(): void {} }',
      'A c constructor d e',
    ],
    ['interface A { b: string; c(d: number): void } type E = { readonly f: (g: string) => void };', 'A b c d E f g'],
    ["import { a, b as c, type D } from 'e'; export { f } from 'g'; h.i = j['k'];", 'c'],
    ['try { a() } catch (failure) { const text = `${b}`; } // const comment = 1', 'failure text'],
  ])('reads %s', (source, expected) => {
    expect([...declaredNames('a.ts', source)].sort()).toEqual(expected.split(' ').sort());
  });

  test.each([
    ['dataDirOf', 'data dir of'],
    ['MAX_HTTP_BYTES', 'max http bytes'],
    ['maxHTTPBytes', 'max http bytes'],
    ['#bell', 'bell'],
    ['kept-work.ts', 'kept work ts'],
  ])('splits %s', (name, expected) => {
    expect(wordsOf(name).join(' ')).toBe(expected);
  });

  test('finds an avoided word, its plural, and words in a row, but no part of a word', () => {
    const words = ['seat', 'go on'];
    expect(
      ['takeSeat', 'seats', 'mayGoOn', 'seated', 'goOnce', 'ago on'].map((name) => avoidedWordIn(name, words)),
    ).toEqual(['seat', 'seat', 'go on', undefined, undefined, undefined]);
  });
});
