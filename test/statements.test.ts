import { describe, expect, test } from 'vitest';
import { readSources } from './lab/sources.ts';

/**
 * A statement: a template with the tag `sql`, `tx` or `db`, one with any tag that begins like SQL, or a call of the driver's
 * `unsafe`. A tag may have a type.
 */
const STATEMENT =
  /(?<![`\w])(?:sql|tx|db)(?:<[^`]*?>)?\s*`|[\w>]\s*`\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER)\s|\.unsafe\(/;
const COMMENT = /\/\*[^]*?\*\/|^\s*\/\/.*$/gm;

const AREAS = /^(?:store|frames)\//;
/** Statements about the server itself. None of them names a table of ours. */
const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ['services/postgres/postgres.ts', 'creates the database, before there is a schema'],
  ['services/supervisor/parts.ts', 'asks whether a server that is not ours responds; services/ may not import store/'],
  ['maintenance/backup/copy-cluster.ts', 'copies the files of a cluster, as a superuser'],
]);

const hasStatement = (source: string): boolean => STATEMENT.test(source.replaceAll(COMMENT, ''));

test('every statement is in store/ or frames/', () => {
  const found = [...readSources()].flatMap(([file, source]) => (hasStatement(source) ? [file] : []));
  expect(found.filter((file) => AREAS.test(file)).length).toBeGreaterThan(20);
  const outside = found.filter((file) => !AREAS.test(file));
  expect(outside.filter((file) => !EXCEPTIONS.has(file))).toEqual([]);
  expect([...EXCEPTIONS.keys()].filter((file) => !outside.includes(file))).toEqual([]);
});

describe('the check', () => {
  test.each([
    ['await sql`SELECT 1`'],
    ['const [row] = await deps.sql<{ id: string }[]>`SELECT id FROM tasks`'],
    ['tx<\n  {\n    id: string;\n  }[]\n>`SELECT id FROM tasks`'],
    ['inserts.push(tx`INSERT INTO chats`)'],
    ['await connection<{ wal: string }[]>`\n  SELECT 1`'],
    ["await sql.unsafe('SELECT 1')"],
  ])('finds %s', (source) => {
    expect(hasStatement(source)).toBe(true);
  });

  test.each([['/** `sql`: a superuser’s. */'], ['// sql`SELECT 1`'], ['await sql.begin((tx) => end(tx, it)); f(`x`)']])(
    'passes %s',
    (source) => {
      expect(hasStatement(source)).toBe(false);
    },
  );
});
