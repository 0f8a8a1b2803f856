/**
 * The names that a TypeScript source declares: functions, variables, parameters, classes, types, properties, methods, and
 * what an import renames. Strings and names that other packages gave (a property that is only read) are no declarations.
 */
import { parseSync } from 'oxc-parser';

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string';

export function declaredNames(file: string, source: string): Set<string> {
  const { program, errors } = parseSync(file, source);
  if (errors[0]) throw new Error(`${file} cannot be parsed: ${errors[0].message}`);
  const names = new Set<string>();
  visit(program, names);
  return names;
}

function visit(value: unknown, names: Set<string>): void {
  if (Array.isArray(value)) for (const one of value) visit(one, names);
  if (!isNode(value)) return;
  for (const declared of declaredBy(value)) for (const name of namesIn(declared)) names.add(name);
  // The keys of a pattern are read, not declared.
  if (value.type === 'ObjectPattern') return visit(listOf(value['properties']).map(valueOf), names);
  for (const child of Object.values(value)) visit(child, names);
}

/** Patterns and keys that this node declares. */
function declaredBy(node: Node): unknown[] {
  switch (node.type) {
    case 'VariableDeclarator':
    case 'ClassDeclaration':
    case 'TSTypeAliasDeclaration':
    case 'TSInterfaceDeclaration':
      return [node['id']];
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
    case 'TSDeclareFunction':
    case 'TSEmptyBodyFunctionExpression':
    case 'TSFunctionType':
      return [node['id'], ...listOf(node['params'])];
    case 'TSMethodSignature':
      return [keyOf(node), ...listOf(node['params'])];
    case 'Property':
    case 'PropertyDefinition':
    case 'MethodDefinition':
    case 'TSPropertySignature':
      return [keyOf(node)];
    case 'CatchClause':
      return [node['param']];
    case 'ImportSpecifier':
      return nameOf(node['imported']) === nameOf(node['local']) ? [] : [node['local']];
    default:
      return [];
  }
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const keyOf = (node: Node): unknown => (node['computed'] === true ? undefined : node['key']);
const nameOf = (value: unknown): unknown => (isNode(value) ? value['name'] : undefined);

/** Of a property its value; anything else, such as `...rest`, is its own. */
const valueOf = (value: unknown): unknown => (isNode(value) && value.type === 'Property' ? value['value'] : value);

/** The names in a pattern: `{ a, b: [c = 1, ...d] }` has a, c and d. */
function namesIn(pattern: unknown): string[] {
  if (!isNode(pattern)) return [];
  switch (pattern.type) {
    case 'Identifier':
    case 'PrivateIdentifier':
      return [String(pattern['name'])];
    case 'ObjectPattern':
      return listOf(pattern['properties']).flatMap((one) => namesIn(valueOf(one)));
    case 'ArrayPattern':
      return listOf(pattern['elements']).flatMap(namesIn);
    case 'AssignmentPattern':
      return namesIn(pattern['left']);
    case 'RestElement':
      return namesIn(pattern['argument']);
    case 'TSParameterProperty':
      return namesIn(pattern['parameter']);
    default:
      return [];
  }
}

/** `maxHTTPBytes` and `MAX_HTTP_BYTES` are max, http, bytes. */
export function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')
    .map((word) => word.toLowerCase());
}
