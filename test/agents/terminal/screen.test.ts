import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { EmulatedScreen, type Size } from '../../../agents/terminal/screen.ts';

const ESC = '\u001b';
const SMALL: Size = { cols: 20, rows: 5 };

class Reader {
  text = '';
  replies = '';
  readonly screen: EmulatedScreen;

  constructor(size = SMALL) {
    this.screen = new EmulatedScreen(size, {
      onText: (text) => (this.text += text),
      onReply: (data) => (this.replies += data),
    });
  }

  async shows(output: string): Promise<string> {
    this.screen.write(output);
    await this.screen.interpreted();
    return this.text;
  }

  async end(): Promise<string> {
    await this.screen.finish();
    return this.text;
  }
}

async function textOf(output: string, size = SMALL): Promise<string> {
  const reader = new Reader(size);
  reader.screen.write(output);
  return reader.end();
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => `line ${at + 1}`);

test.each([
  ['plain lines', 'one\r\ntwo\r\n', 'one\ntwo'],
  ['a line without an end', 'one\r\ntwo', 'one\ntwo'],
  ['nothing', '', ''],
  ['blank lines only', '\r\n\r\n  \r\n', ''],
  ['a progress bar', '10 %\r50 %\r100 %\r\ndone', '100 %\ndone'],
  ['a spinner that is erased', `-\b\\\b|\b ${ESC}[2K\rready`, 'ready'],
  ['colours', `${ESC}[38;2;255;0;10mred${ESC}[0m ${ESC}[1mbold${ESC}[0m`, 'red bold'],
  ['a line that the terminal wraps', 'x'.repeat(45), 'x'.repeat(45)],
  ['a wide character at the edge', `${'x'.repeat(19)}漢字`, `${'x'.repeat(19)}漢字`],
  ['an accent of its own', 'e\u0301', 'e\u0301'],
  ['a redraw of several lines', `a 1\r\nb 1\r\n${ESC}[2A${ESC}[Ja 2\r\nb 2\r\n`, 'a 2\nb 2'],
  ['a cleared screen', `old\r\n${ESC}[2J${ESC}[Hnew`, 'new'],
  ['an erased scrollback', `${numbered(9).join('\r\n')}${ESC}[3J`, numbered(9).join('\n')],
  ['a reset', `${numbered(9).join('\r\n')}${ESC}cnew`, [...numbered(5).slice(0, 4), 'new'].join('\n')],
  ['more than two blank lines', `a${'\r\n'.repeat(6)}b`, 'a\n\n\nb'],
  ['a hyperlink', `${ESC}]8;;https://x.test${ESC}\\here${ESC}]8;;${ESC}\\`, 'here'],
  ['cursor movement within a line', `world${ESC}[Ghello`, 'hello'],
  ['columns by tabulator', 'a\tb', 'a       b'],
  [
    'an alternate screen between lines',
    `before\r\n${ESC}[?1049h${ESC}[Hfirst state${ESC}[2J${ESC}[Hlast state${ESC}[?1049lafter`,
    'before\nlast state\nafter',
  ],
  ['an alternate screen that is erased before it is left', `${ESC}[?1049h${ESC}[Hstate${ESC}[2J${ESC}[?1049l`, 'state'],
  ['an alternate screen at the end', `${ESC}[?1049h${ESC}[Hstate`, 'state'],
])('%s', async (_title, output, text) => {
  expect(await textOf(output)).toBe(text);
});

test('a line is emitted when it scrolls out, before the program ends', async () => {
  const reader = new Reader();
  expect(await reader.shows(numbered(7).join('\r\n'))).toBe('line 1\nline 2');
  expect(await reader.end()).toBe(numbered(7).join('\n'));
});

test('lines above the cursor of a program that never moves up are emitted at the second quiet moment', async () => {
  const reader = new Reader();
  await reader.shows('one\r\ntwo\r\nthr');
  reader.screen.settleQuiet();
  expect(reader.text).toBe('');
  reader.screen.settleQuiet();
  expect(reader.text).toBe('one\ntwo');
  await reader.shows('ee');
  expect(await reader.end()).toBe('one\ntwo\nthree');
});

test('a program that moves its cursor up has its lines emitted only when they scroll out', async () => {
  const reader = new Reader();
  await reader.shows(`bar 1\r\n${ESC}[1A`);
  for (let quiet = 0; quiet < 3; quiet += 1) reader.screen.settleQuiet();
  expect(reader.text).toBe('');
  expect(await reader.shows('bar 2\r\n')).toBe('');
  expect(await reader.end()).toBe('bar 2');
});

test('a line that changes after it was emitted is emitted once more, in its last state', async () => {
  const reader = new Reader();
  await reader.shows('layer 1: waiting\r\nready\r\n');
  reader.screen.settleQuiet();
  reader.screen.settleQuiet();
  expect(reader.text).toBe('layer 1: waiting\nready');
  for (const state of ['half', 'done']) await reader.shows(`${ESC}[2A${ESC}[2Klayer 1: ${state}\r\n\r\n`);
  expect(await reader.end()).toBe('layer 1: waiting\nready\nlayer 1: done');
});

test('a window that becomes narrow and wide again changes no text', async () => {
  const reader = new Reader();
  const words = 'the quick brown fox jumps over the lazy dog';
  await reader.shows(`${words}\r\n${words}\r\n`);
  for (const cols of [7, 80, 20]) await reader.screen.resize({ cols, rows: 5 });
  await reader.shows('end');
  expect(await reader.end()).toBe(`${words}\n${words}\nend`);
});

test('a program that asks the terminal for its cursor gets an answer', async () => {
  const reader = new Reader();
  await reader.shows(`ab${ESC}[6n`);
  expect(reader.replies).toBe(`${ESC}[1;3R`);
});

test('all lines of a program that never moves up are emitted complete and in order, at any quiet moments', async () => {
  const line = fc.string({
    unit: fc.constantFrom('a', 'Z', '9', 'é', '漢', '👍', '.', '-'),
    minLength: 1,
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 40 }),
      fc.infiniteStream(fc.boolean()),
      async (lines, quiet) => {
        const reader = new Reader();
        for (const one of lines) {
          await reader.shows(`${one}\r\n`);
          if (quiet.next().value) reader.screen.settleQuiet();
        }
        expect(await reader.end()).toBe(lines.join('\n'));
      },
    ),
    { numRuns: 200 },
  );
});
