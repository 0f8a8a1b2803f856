/** Each operation of the OpenAPI document, asked in ways in which few clients ask: each answer is one that it names. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LabServer, startServer } from './lab.ts';
import { exchange, requestText } from './raw-http.ts';

let server: LabServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

interface Asked {
  readonly method: string;
  readonly target: string;
  readonly version?: string;
  readonly headers?: readonly string[];
  readonly body?: string;
}

type Variant = (method: string, path: string) => Asked;

const JSON_TYPE = 'Content-Type: application/json';
const typed =
  (type: string, body = '{}'): Variant =>
  (method, target) => ({ method, target, headers: [`Content-Type: ${type}`], body });

const VARIANTS: Readonly<Record<string, Variant>> = {
  'as it is': (method, target) => ({ method, target }),
  'text as its body': typed('text/plain', 'x'),
  'XML as its body': typed('application/xml', '<x/>'),
  'a type that is none': typed('///;;;'),
  'a form as its body': typed('multipart/form-data; boundary=x', '--x--'),
  'JSON that breaks off': typed('application/json', '{"a": '),
  'JSON that is no object': typed('application/json', '[[[1]]]'),
  'JSON with a prototype': typed('application/json', '{"__proto__": {"x": 1}}'),
  'deep JSON': typed('application/json', '['.repeat(100_000)),
  'a body that it does not expect': (method, target) => ({ method, target, headers: [JSON_TYPE], body: '{}' }),
  'a parameter that there is not': (method, target) => ({ method, target: `${target}?nothing=1` }),
  'each parameter twice': (method, target) => ({
    method,
    target: `${target}?limit=1&limit=2&cursor=a&cursor=b&after=1&after=2&state=a&state=b`,
  }),
  'a query that is none': (method, target) => ({ method, target: `${target}?%ZZ=%00&&&=` }),
  'HTTP/1.0': (method, target) => ({ method, target, version: '1.0' }),
  'a host in its target': (method, target) => ({ method, target: `http://localhost${target}` }),
  'large headers': (method, target) => ({ method, target, headers: [`X-Large: ${'x'.repeat(12_000)}`] }),
  'too large headers': (method, target) => ({ method, target, headers: [`X-Large: ${'x'.repeat(20_000)}`] }),
  'an expectation': (method, target) => ({ method, target, headers: ['Expect: something'] }),
  'a slash behind it': (method, target) => ({ method, target: `${target}/` }),
  'an encoded slash': (method, target) => ({ method, target: target.replace(/\/(?=[^/]*$)/, '%2F') }),
  'two slashes': (method, target) => ({ method, target: `/${target}` }),
  'capitals': (method, target) => ({ method, target: target.toUpperCase() }),
  'HEAD': (_method, target) => ({ method: 'HEAD', target }),
  'OPTIONS': (_method, target) => ({ method: 'OPTIONS', target }),
  'DELETE with a body': (_method, target) => ({ method: 'DELETE', target, headers: [JSON_TYPE], body: '{}' }),
  'the token in its query only': (method, target) => ({
    method,
    target: `${target}?access_token=x`,
    headers: ['Authorization: Basic x'],
  }),
}; // prettier-ignore

/** Of any path, as the document's description says. */
const ANYWHERE = [404, 405, 408, 431];

test.each(Object.keys(VARIANTS))('%s', async (name) => {
  const { paths } = server.documented.document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  expect(operations.length).toBeGreaterThanOrEqual(15);
  for (const { path, method, operation } of operations) {
    const asked = VARIANTS[name]?.(method, path.replace(/\{\w+\}/, randomUUID()));
    if (!asked) throw new TypeError('no variant');
    const { target, version = '1.1', headers = [], body = '' } = asked;
    const own = headers.some((line) => line.startsWith('Authorization'));
    const all = ['Host: localhost', 'Connection: close', ...headers, ...(own ? [] : [`Authorization: Bearer ${server.token}`]), ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`])]; // prettier-ignore
    const { answers, error } = await exchange({
      url: server.url,
      bytes: requestText(`${asked.method} ${target} HTTP/${version}`, all, body),
      noBody: asked.method === 'HEAD',
    });
    const [answer] = answers;
    const responses = (asked.method === 'HEAD' ? paths[path]?.['get'] : operation)?.responses ?? {};
    const where = `${asked.method} ${target.slice(0, 80)}`;
    expect([where, error, answers.length]).toEqual([where, undefined, 1]);
    const status = answer?.status ?? 0;
    expect([where, status, [...ANYWHERE.map(String), ...Object.keys(responses)]]).toEqual([where, status, expect.arrayContaining([String(status)])]); // prettier-ignore
    expect([where, status < 500]).toEqual([where, true]);
    if (status < 400) continue;
    expect([where, answer?.headers['content-type']]).toEqual([where, 'application/problem+json']);
    if (asked.method !== 'HEAD') expect(JSON.parse(answer?.body ?? '')).toMatchObject({ status, error_code: expect.any(String) as string }); // prettier-ignore
  }
});
