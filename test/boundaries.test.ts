import { describe, expect, test } from 'vitest';
import { violations } from './lab/boundaries.ts';
import { importsOf } from './lab/imports.ts';
import { readSources } from './lab/sources.ts';

/** Imports that the table does not allow, and why they exist. The test fails for an entry without such an import. */
const EXCEPTIONS: readonly { readonly of: RegExp; readonly why: string }[] = [
  { of: /^services\/postgres\/binaries\.ts → \?/, why: "a package of Postgres' programs is named after the platform" },
];

test('every import goes where the table lets it', () => {
  const sources = readSources();
  expect(sources.size).toBeGreaterThan(80);
  const found = violations(sources);
  expect(found.filter((line) => !EXCEPTIONS.some(({ of }) => of.test(line)))).toEqual([]);
  expect(EXCEPTIONS.filter(({ of }) => !found.some((line) => of.test(line)))).toEqual([]);
});

test('the definitions of commands load no action: completion and help need all of them', () => {
  const allowed =
    /^(?:commander|\.\/[\w-]+\.ts|\.\.\/help\.ts|\.\.\/apply-recipe\.ts|\.\.\/\.\.\/contract\/[\w-]+\.ts)$/;
  const definitions = [...readSources()].filter(([file]) => file.startsWith('cli/definitions/'));
  expect(definitions.length).toBeGreaterThan(20);
  const loaded = definitions.flatMap(([file, source]) =>
    [...source.matchAll(/^import (?!type )[^;]*? from '([^']+)';/gm)].map((match) => `${file} → ${match[1]}`),
  );
  expect(loaded.filter((line) => !allowed.test(line.split(' → ')[1] ?? ''))).toEqual([]);
});

test('no source is read in vain: each one of more than a few lines that names a module has imports', () => {
  for (const [file, source] of readSources()) {
    const plain = source.match(/^(?:import|export) .*from '|^\} from '|^import '/gm)?.length ?? 0;
    expect([file, importsOf(source).length]).toEqual([file, expect.toSatisfy((count: number) => count >= plain)]);
  }
});

describe('the checker', () => {
  const OTHERS = [
    'contract/task.ts contract/errors.ts workflows/task.ts activities/a.ts agents/driver.ts agents/acp/x.ts',
    'processes/identity.ts worktrees/git.ts store/sql.ts frames/writer.ts client/submit.ts backend/server.ts cli/main.ts services/home/home.ts worker/run.ts worker.ts',
  ].flatMap((line) => line.split(' '));

  /** What it says of one file among others. */
  const check = (file: string, source: string): string[] =>
    violations(new Map([...OTHERS.map((name) => [name, ''] as const), [file, source]]));

  test.each([
    ['workflows/task.ts', "import { readFile } from 'node:fs/promises';", "may not import Node's own modules"],
    ['workflows/task.ts', "import { pino } from 'pino';", 'may not import the package pino'],
    ['workflows/task.ts', "import type { Sql } from '../store/sql.ts';", 'workflows may not import store'],
    [
      'contract/errors.ts',
      "import { proxyActivities } from '@temporalio/workflow';",
      'contract may not import the package',
    ],
    ['contract/task.ts', "export * from '../workflows/task.ts';", 'contract may not import workflows'],
    ['agents/acp/x.ts', "import { connect } from '../../store/sql.ts';", 'agents may not import store'],
    ['agents/acp/x.ts', "import { task } from '../../workflows/task.ts';", 'agents may not import workflows'],
    ['processes/identity.ts', "import type { X } from '../agents/driver.ts';", 'processes may not import agents'],
    ['store/sql.ts', "import { isAlive } from '../processes/identity.ts';", 'store may not import processes'],
    ['worktrees/git.ts', "import '../agents/driver.ts';", 'worktrees may not import agents'],
    ['store/sql.ts', "import { FrameWriter } from '../frames/writer.ts';", 'store may not import frames'],
    ['frames/writer.ts', "const { task } = await import('../workflows/task.ts');", 'frames may not import workflows'],
    ['frames/writer.ts', "import type { X } from '../agents/driver.ts';", 'frames may not import agents'],
    ['client/submit.ts', "import { a } from '../activities/a.ts';", 'client may not import activities'],
    ['client/submit.ts', "import fastify from 'fastify';", 'client may not import the package fastify'],
    ['cli/main.ts', "import { server } from '../backend/server.ts';", 'cli may not import backend'],
    ['cli/main.ts', "import { connect } from '../store/sql.ts';", 'cli may not import store'],
    ['backend/server.ts', "import '../cli/main.ts';", 'backend may not import cli'],
    ['services/home/home.ts', "import { submit } from '../../client/submit.ts';", 'services may not import client'],
    ['worker.ts', "import { server } from './backend/server.ts';", 'worker.ts may not import backend'],
    ['activities/a.ts', "import '../worker.ts';", 'activities may not import worker.ts'],
    ['activities/a.ts', "import '../worker/run.ts';", 'activities may not import worker'],
    ['activities/a.ts', "import { submit } from '../client/submit.ts';", 'activities may not import client'],
    ['client/submit.ts', "import { readFile } from 'fs';", 'built-in modules are imported as node:'],
    ['client/submit.ts', "import { connect } from '../store/sql';", 'there is no such source'],
    ['client/submit.ts', "import { connect } from '../../elsewhere.ts';", 'there is no such source'],
    ['client/submit.ts', 'const it = await import(name);', 'its import cannot be determined'],
    ['newcomer/a.ts', '', 'newcomer has no rule'],
  ])('finds in %s: %s', (file, source, why) => {
    expect(check(file, source)).toEqual([expect.stringContaining(why) as string]);
  });

  test.each([
    [
      'workflows/task.ts',
      "import { sleep } from '@temporalio/workflow';\nimport type { X } from '../contract/task.ts';",
    ],
    ['activities/a.ts', "import { connect } from '../store/sql.ts';\nimport path from 'node:path';"],
    ['frames/writer.ts', "import { connect } from '../store/sql.ts';\nimport { E } from '../contract/errors.ts';"],
    ['backend/server.ts', "import ws from '@fastify/websocket';\nimport { submit } from '../client/submit.ts';"],
    ['cli/main.ts', "import { Command } from 'commander';\nimport { home } from '../services/home/home.ts';"],
    ['worker/run.ts', "import { a } from '../activities/a.ts';\nimport { Worker } from '@temporalio/worker';"],
    ['worker.ts', "import { a } from './activities/a.ts';\nimport { run } from './worker/run.ts';"],
  ])('lets %s import what it may', (file, source) => {
    expect(check(file, source)).toEqual([]);
  });

  test('says of a type that it is one', () => {
    expect(check('store/sql.ts', "export type { Frame } from '../frames/writer.ts';")).toEqual([
      'store/sql.ts → frames/writer.ts (type): store may not import frames',
    ]);
  });
});

describe('the reader of imports', () => {
  const specifiers = (source: string) => importsOf(source).map(({ specifier }) => specifier);

  test.each([
    ["import a from 'a'; import b, { c } from \"b\"; import * as d from 'd'; import 'e';", ['a', 'b', 'd', 'e']],
    ["import {\n  type A,\n  from as b, // from 'x'\n} from /* from 'y' */ 'a';", ['a']],
    ["import type from 'a'; import type { B } from 'b'; import type C from 'c';", ['a', 'b', 'c']],
    [
      "export * from 'a'; export * as b from 'b'; export { c } from 'c'; export type { D } from 'd';",
      ['a', 'b', 'c', 'd'],
    ],
    ["export { a };\nconst from = 'x';\nexport type B = { from: 'y' };\nexport const c = 1, d = 'z';", []],
    ["type X = import('a').X; const y = await import( 'b' ); import('c', { with: {} });", ['a', 'b', 'c']],
    ['import(`a`); import(`b${c}`); import(d); import("e" + f);', ['a', undefined, undefined, undefined]],
    ["// import 'a'\n/* import 'b' */ const s = \"import 'c'\"; const t = `import 'd' ${x} import 'e'`;", []],
    ["const t = `x ${f(`y ${await import('a')}`)} import 'b'`; import 'c';", ['a', 'c']],
    ["const r = /['\"`]/.test(x) ? a / b : c; import 'a'; const s = x.replace(/[/'\"]/g, ''); import 'b';", ['a', 'b']],
    ["const url = import.meta.url; object.import('x'); const o = { import: 'y', from: 'z' }; import 'a';", ['a']],
    ["const q = 'it\\'s'; const e = '\\\\'; import 'a';", ['a']],
    ["return /import 'x'/u;\nconst h = (a + b) / 2; import 'a'; const i = 4 / 2;", ['a']],
  ])('reads %s', (source, expected) => {
    expect(specifiers(source)).toEqual(expected);
  });

  test('tells types from values', () => {
    const source =
      "import type { A } from 'a'; import { type B } from 'b'; import type from 'c'; export type { D } from 'd';";
    expect(importsOf(source).map(({ typeOnly }) => typeOnly)).toEqual([true, false, false, true]);
  });
});
