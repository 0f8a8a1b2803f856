/** The titles of `describe`, `test` and `it` that a test file has, as its source spells them: `%s` and `${name}` stay. */
import { parseSync } from 'oxc-parser';

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string';

const RUNNERS = new Set(['describe', 'test', 'it']);

export function testTitles(file: string, source: string): string[] {
  const { program, errors } = parseSync(file, source);
  if (errors[0]) throw new Error(`${file} cannot be parsed: ${errors[0].message}`);
  const titles: string[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (!isNode(value)) return;
    if (value.type === 'CallExpression' && RUNNERS.has(rootOf(value['callee']))) titles.push(...titleOf(value, source));
    Object.values(value).forEach(visit);
  };
  visit(program);
  return titles;
}

/** `test`, of `test.skipIf(x).each(rows)(…)`, too. */
function rootOf(callee: unknown): string {
  if (!isNode(callee)) return '';
  if (callee.type === 'Identifier') return String(callee['name']);
  return rootOf(callee['object'] ?? callee['callee'] ?? callee['tag']);
}

function titleOf(call: Node, source: string): string[] {
  const first = Array.isArray(call['arguments']) ? (call['arguments'][0] as unknown) : undefined;
  if (!isNode(first)) return [];
  if (first.type === 'Literal' && typeof first['value'] === 'string') return [first['value']];
  if (first.type === 'TemplateLiteral') return [source.slice(Number(first['start']) + 1, Number(first['end']) - 1)];
  return [];
}
