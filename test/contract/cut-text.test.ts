import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeHead, decodeTail, head, PairJoiner, pieces, shorten, tail } from '../../contract/cut-text.ts';

/** Whole characters of one to four bytes, often of two units. */
const character = fc.oneof(fc.constantFrom('a', 'é', '語', '😀', '𝒳'), fc.string({ unit: 'binary', maxLength: 1 }));
const text = fc.array(character, { maxLength: 30 }).map((all) => all.join(''));

test('a cut text has complete characters and is as long as the limit allows', () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 40 }), (whole, limit) => {
      for (const cut of [head(whole, limit), tail(whole, limit)]) {
        expect(cut.isWellFormed()).toBe(true);
        expect(cut.length).toBeLessThanOrEqual(limit);
        expect(cut.length).toBeGreaterThanOrEqual(Math.min(whole.length, limit - 1));
      }
      expect(whole.startsWith(head(whole, limit))).toBe(true);
      expect(whole.endsWith(tail(whole, limit))).toBe(true);
      expect(shorten(whole, limit).length).toBeLessThanOrEqual(limit);
      expect(shorten(whole, limit).isWellFormed()).toBe(true);
      expect([...pieces(whole, limit + 1)].join('')).toBe(whole);
    }),
  );
});

test('bytes that are cut anywhere are decoded without an added character', () => {
  fc.assert(
    fc.property(text, fc.nat(120), (whole, at) => {
      const bytes = Buffer.from(whole);
      const [first, last] = [decodeHead(bytes.subarray(0, at)), decodeTail(bytes.subarray(at))];
      expect(whole.startsWith(first)).toBe(true);
      expect(whole.endsWith(last)).toBe(true);
      expect(bytes.length - Buffer.byteLength(first) - Buffer.byteLength(last)).toBeLessThanOrEqual(4);
    }),
  );
});

test('a text that a sender splits anywhere is joined to the same text', () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 5 }), (whole, size) => {
      const joiner = new PairJoiner();
      const passed: string[] = [];
      for (let at = 0; at < whole.length; at += size) passed.push(joiner.join(whole.slice(at, at + size)));
      expect(passed.join('')).toBe(whole);
      expect(passed.every((part) => part.isWellFormed())).toBe(true);
    }),
  );
});
