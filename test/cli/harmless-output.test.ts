import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { HarmlessOutput } from '../../cli/harmless-output.ts';

const ESC = '\u001b';
const whole = (text: string): string => new HarmlessOutput().pass(text);

test.each([
  ['text and colours stay', `a ${ESC}[31mred${ESC}[0m`, `a ${ESC}[31mred${ESC}[0m`],
  ['cursor movement stays', `${ESC}[2J${ESC}[5;1H`, `${ESC}[2J${ESC}[5;1H`],
  ['a title', `a${ESC}]0;owned\u0007b`, 'ab'],
  ['the clipboard', `a${ESC}]52;c;aGk=${ESC}\\b`, 'ab'],
  ['a device control string', `a${ESC}Pq${ESC}\\b`, 'ab'],
  ['what the terminal would answer', `a${ESC}[c${ESC}[6n${ESC}[>0q${ESC}Z\u0005b`, 'ab'],
])('%s', (_title, text, shown) => {
  expect(whole(text)).toBe(shown);
});

test('a sequence in pieces is left out, too', () => {
  const text = `a${ESC}]52;c;aGk=${ESC}\\b${ESC}[6nc${ESC}[1md`;
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (lengths) => {
      const output = new HarmlessOutput();
      let shown = '';
      for (let at = 0, piece = 0; at < text.length; piece += 1) {
        const length = lengths[piece % lengths.length] ?? 1;
        shown += output.pass(text.slice(at, at + length));
        at += length;
      }
      expect(shown).toBe(`abc${ESC}[1md`);
    }),
  );
});
