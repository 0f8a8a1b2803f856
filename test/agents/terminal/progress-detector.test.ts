import { expect, test } from 'vitest';
import { ProgressDetector } from '../../../agents/terminal/progress-detector.ts';

const MINUTE = 60_000;

/** Whether each screen, shown one after the other at these intervals, has a sign of life. */
function seen(screens: readonly string[], intervalMs = 1_000): boolean[] {
  const signs = new ProgressDetector();
  return screens.map((screen, index) => signs.in(screen.split('\n'), index * intervalMs));
}

test.each([
  ['a spinner of signs', ['Thinking |', 'Thinking /', 'Thinking -', 'Thinking ⠋'], [true, false, false, false]],
  ['a bar without a number', ['[#    ] build', '[##   ] build', '[###  ] build'], [true, false, false]],
  ['a list of words that is repeated', ['Thinking', 'Pondering', 'Thinking', 'Pondering'], [true, true, false, false]],
  ['a percentage', ['got 1 %', 'got 2 %', 'got 2 %', 'got 3 %'], [true, true, false, true]],
  ['new lines', ['a', 'a\nb', 'a\nb\nc'], [true, true, true]],
  ['lines that change places', ['a\nb', 'b\na', 'b'], [true, false, false]],
])('%s', (_what, screens, signs) => {
  expect(seen(screens)).toEqual(signs);
});

test('a clock that counts seconds is a sign of life for half an hour after the last new words', () => {
  const clock = Array.from({ length: 50 }, (_, minute) => `Working (${minute} min)`);
  const signs = seen(clock, MINUTE);
  expect(signs.slice(0, 30)).toEqual(Array.from({ length: 30 }, () => true));
  expect(signs.slice(30)).toEqual(Array.from({ length: 20 }, () => false));
  expect(seen([...clock, 'Working (51 min)\nTests pass', 'Working (52 min)\nTests pass'], MINUTE).slice(-2)).toEqual([true, true]); // prettier-ignore
});
