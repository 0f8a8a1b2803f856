import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cast, readCast, RECORDED, SCREENS, textOf } from './recorded.ts';

const LINE = 'A line of a long build log, again and again';

/** The text was read by a person when the recording was made, except the flood's, which is one line again and again. */
function expectedOf(name: (typeof RECORDED)[number]): string {
  if (name !== 'flood') return readFileSync(path.join(SCREENS, `${name}.txt`), 'utf8').trimEnd();
  const output = bytesOf(readCast(name)).toString('utf8');
  return output.replaceAll('\r\n', '\n').trimEnd();
}

const bytesOf = ({ events }: Cast): Buffer =>
  Buffer.concat(events.flatMap((event) => (event.kind === 'output' ? [event.bytes] : [])));

describe.each(RECORDED)('the recording of %s', (name) => {
  test('becomes the text that a person sees', async () => {
    expect(await textOf(readCast(name))).toBe(expectedOf(name));
  });

  test('becomes the same text for every split of its bytes', async () => {
    const cast = readCast(name);
    const expected = expectedOf(name);
    const most = Math.max(64, Math.ceil(bytesOf(cast).length / 20));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: most }), { minLength: 1, maxLength: 50 }),
        async (lengths) => {
          let at = 0;
          const text = await textOf(cast, (left) => Math.min(left, lengths[(at += 1) % lengths.length] ?? left));
          expect(text).toBe(expected);
        },
      ),
      { numRuns: name === 'flood' ? 2 : 20, examples: name === 'flood' ? [] : [[[1]]] },
    );
  });
});

test('the flood is 5 MB of one line', () => {
  const lines = bytesOf(readCast('flood')).toString('utf8').split('\r\n');
  expect(lines.length * LINE.length).toBeGreaterThan(4_500_000);
  expect(new Set(lines.slice(0, -2))).toEqual(new Set([LINE]));
});
