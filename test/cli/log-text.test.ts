import { expect, test } from 'vitest';
import { ReadableLog, readableLine } from '../../cli/log-text.ts';

const plain = (_style: unknown, text: string): string => text;
const at = new Date(2030, 0, 2, 15, 4, 5);
const line = (fields: object): string =>
  JSON.stringify({ level: 30, time: at.getTime(), pid: 1, hostname: 'h', msg: 'task started', ...fields });

test('a logged object is one readable line', () => {
  expect(readableLine(line({ task_id: 't1', path: '/a b', count: 2 }), plain)).toBe(
    '15:04:05 info  task started task_id=t1 path="/a b" count=2',
  );
  expect(readableLine(line({ level: 50, msg: 'x', err: { message: 'no', stack: 'Error: no\n    at y' } }), plain)).toBe(
    '15:04:05 error x err=\n  Error: no\n      at y',
  );
});

test.each(['plain text', '{"a":1}', '{ no JSON', '', '5'])('%j is printed as it is', (text) => {
  expect(readableLine(text, plain)).toBe(text);
});

test('control sequences of a logged text are removed', () => {
  expect(readableLine(line({ msg: 'a\u001b[2Jb', x: '\u001b]0;t\u0007c' }), plain)).toBe('15:04:05 info  ab x=c');
  expect(readableLine('a\u001b[2Jb', plain)).toBe('ab');
});

test('a line that arrives in pieces is printed when its end arrives', () => {
  const log = new ReadableLog(plain);
  const whole = line({});
  expect(log.add(`==> f <==\n${whole.slice(0, 20)}`)).toBe('==> f <==\n');
  expect(log.add(`${whole.slice(20)}\nrest`)).toBe('15:04:05 info  task started\n');
  expect([log.end(), log.end()]).toEqual(['rest', '']);
});
