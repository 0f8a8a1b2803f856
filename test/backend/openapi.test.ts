import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageVersion } from '../../processes/package-version.ts';
import { Documented } from './documented.ts';
import { type LabServer, startServer } from './lab.ts';

let server: LabServer;
let document: Record<string, unknown>;
beforeAll(async () => {
  server = await startServer();
  ({ body: document } = await server.get('/api/openapi.json'));
});
afterAll(() => server.close());

test('the document is valid OpenAPI 3.1', async () => {
  expect(document['openapi']).toBe('3.1.0');
  const validator = new Validator();
  expect(await validator.validate(structuredClone(document))).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
  // The validator is one that refuses.
  const broken = { ...structuredClone(document), paths: { '/x': { get: { responses: { 200: {} } } } } };
  expect(await new Validator().validate(broken)).toMatchObject({ valid: false });
});

test('it names what there is, each with the problems that it may answer with', () => {
  const { paths, components } = new Documented(document).document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  expect(operations.sort()).toEqual(
    [
      'get /api/agents',
      'get /api/changes',
      'get /api/changes/{id}',
      'get /api/projects',
      'get /api/sessions',
      'get /api/sessions/{id}',
      'get /api/tasks',
      'get /api/tasks/{id}',
      'post /api/projects',
      'post /api/tasks',
      'post /api/tasks/{id}/cancel',
    ].sort(),
  );
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { responses, summary }] of Object.entries(methods)) {
      expect(summary).not.toBe('');
      for (const status of [400, 401, 403, 429, 500, 503]) {
        expect([method, path, Object.keys(responses)]).toEqual([
          method,
          path,
          expect.arrayContaining([String(status)]),
        ]);
      }
    }
  }
  expect(Object.keys(components.schemas).filter((name) => name.endsWith('Input'))).toEqual([
    'NewProjectInput',
    'NewTaskInput',
  ]);
  expect(document['info']).toMatchObject({ title: 'Longhaul', version: packageVersion() });
  expect(document['security']).toEqual([{ token: [] }]);
});

test('an answer that is not as documented is noticed', () => {
  const documented = new Documented(document);
  const agents = { method: 'GET', path: '/api/agents', status: 200, contentType: 'application/json' };
  documented.check({ ...agents, body: { items: [] } });
  expect(() => documented.check({ ...agents, body: { items: [{ name: 1 }] } })).toThrow(/not as documented/);
  expect(() => documented.check({ ...agents, status: 418, body: {} })).toThrow(/not in the document/);
});
