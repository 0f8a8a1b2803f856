/** Where a body stops to be JSON. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { jsonFault } from '../../backend/json-fault.ts';
import { type LabServer, startServer } from './lab.ts';

test.each([
  ['{"a": bad}', '"bad}" at line 1, column 7'],
  ['{"a": 1,\n "b" 2}', '"2}" at line 2, column 6'],
  ['{"a": 1,}', '"}" at line 1, column 9'],
  ['[1, 2', 'its end at line 1, column 6'],
  ['{"a": "x', '"\\"x" at line 1, column 7'],
  ["{'a': 1}", `"'a': 1}" at line 1, column 2`],
  ['{"a": 1} x', '"x" at line 1, column 10'],
  ['  ', 'its end at line 1, column 3'],
  ['[1}', '"}" at line 1, column 3'],
  ['{"a" "b"}', '"\\"b\\"}" at line 1, column 6'],
])('%s', (text, fault) => {
  expect(jsonFault(text)).toBe(fault);
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test('a fault is found in exactly those texts that JSON.parse refuses', () => {
  const broken = fc.tuple(fc.json(), fc.nat(), fc.constantFrom('', '{', '}', '[', ']', ',', ':', '"', '1', '-', '\\', ' ', 'e')); // prettier-ignore
  fc.assert(
    fc.property(broken, ([text, at, put]) => {
      const place = at % (text.length + 1);
      const changed = text.slice(0, place) + put + text.slice(place + (put === '' ? 1 : 0));
      expect(jsonFault(changed) === undefined, changed).toBe(isJson(changed));
      expect(jsonFault(text), text).toBeUndefined();
    }),
    { numRuns: 2_000 },
  );
});

describe('over HTTP', () => {
  let server: LabServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  test.each([
    ['{"input": x}', 'body: expected JSON, found "x}" at line 1, column 11.'],
    ['{"input": ', 'body: expected JSON, found its end at line 1, column 11.'],
  ])('%s', async (body, detail) => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${server.token}` };
    const answer = await server.ask('/api/tasks', { method: 'POST', body, headers });
    expect(answer).toMatchObject({ status: 400, body: { error_code: 'invalid_input', detail } });
  });

  test('a key that is not accepted in any object is refused as before', async () => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${server.token}` };
    const answer = await server.ask('/api/tasks', { method: 'POST', body: '{"__proto__": {}}', headers });
    expect(answer).toMatchObject({ status: 400, body: { error_code: 'invalid_input' } });
  });
});
