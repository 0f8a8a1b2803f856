import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { messageOf } from '../../contract/errors.ts';
import { deferred, orAbort, unlessAborted } from '../../contract/promises.ts';

const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('a wait that ends with an abort', () => {
  test('resolves with the work, and leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    expect(await unlessAborted(Promise.resolve('done'), signal)).toBe('done');
    expect(await orAbort(Promise.resolve('done'), signal)).toBe('done');
    expect(listenersOf(signal)).toBe(0);
  });

  test('ends with the abort while the work continues', async () => {
    const stop = new AbortController();
    const never = deferred<string>();
    const [quiet, loud] = [unlessAborted(never.promise, stop.signal), orAbort(never.promise, stop.signal)];
    stop.abort(new Error('stopped'));
    expect(await quiet).toBeUndefined();
    await expect(loud).rejects.toThrow('stopped');
    expect(listenersOf(stop.signal)).toBe(0);
  });

  test('ends at once if the signal is aborted already', async () => {
    const signal = AbortSignal.abort(new Error('stopped'));
    expect(await unlessAborted(deferred().promise, signal)).toBeUndefined();
    await expect(orAbort(deferred().promise, signal)).rejects.toThrow('stopped');
  });

  test('rejects with the work', async () => {
    const { signal } = new AbortController();
    await expect(unlessAborted(Promise.reject(new Error('broken')), signal)).rejects.toThrow('broken');
    expect(listenersOf(signal)).toBe(0);
  });
});

describe('the text of a thrown value', () => {
  test.each([
    [new Error('broken'), 'broken'],
    [Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [new TypeError(''), 'TypeError'],
    ['a string', 'a string'],
  ])('%o', (error, text) => {
    expect(messageOf(error)).toBe(text);
  });
});
