/**
 * Parses the file of agent settings: JSON in which comments and trailing commas are allowed. Every error names its line
 * and column. All errors are reported together, one on each line.
 */
import {
  findNodeAtLocation,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
  getNodeValue,
} from 'jsonc-parser';
import { z } from 'zod';
import { LonghaulError } from '../../contract/errors.ts';
import { NATIVE_AGENT } from '../../contract/names.ts';

/**
 * The pattern of an agent's name. It is restricted because names become part of search attributes, command lines and
 * file names.
 */
export const AGENT_NAME = /^[\w][\w.-]{0,59}$/;
/**
 * Variables that are never passed to agents. The settings file may not set such a variable, because the value would
 * have no effect.
 */
const NEVER_PASSED = /^(DATABASE_URL|TEMPORAL_.*|LONGHAUL_.*)$/;

const words = z.string('expected a text').min(1, 'expected a text that is not empty');
const model = z.union([words, z.strictObject({ id: words, label: words.optional() })], {
  error: 'expected the id of a model, or {"id": …, "label": …}',
});
const variableName = z
  .string()
  .regex(/^[A-Za-z_]\w*\*?$/, 'expected the name of a variable')
  .refine((name) => !NEVER_PASSED.test(name), 'expected a variable that agents get: DATABASE_URL, TEMPORAL_* and LONGHAUL_* are never passed on'); // prettier-ignore

const entry = z.strictObject({
  extends: words.optional(),
  label: words.optional(),
  command: words.optional(),
  args: z.array(z.string('expected a text'), 'expected a list of texts').optional(),
  env: z.record(variableName, z.string('expected a text'), 'expected an object of variables').optional(),
  env_keys: z.array(variableName, 'expected a list of names of variables').optional(),
  terminal: z.boolean('expected true or false').optional(),
  models: z.array(model, 'expected a list of models').optional(),
});

const FIELDS = Object.keys(entry.shape).join(', ');
const agentName = z
  .string()
  .regex(AGENT_NAME, 'expected a name of up to 60 letters, digits, dots, dashes or underscores')
  .refine((name) => name !== NATIVE_AGENT, `expected another name: ${NATIVE_AGENT} is Longhaul's own agent`);

const settings = z.strictObject({
  agents: z
    .record(
      agentName,
      z.preprocess((value) => value, entry),
      'expected an object of agents',
    )
    .optional(),
});

/** The description of one agent in the file. */
export type AgentEntry = z.infer<typeof entry>;

export interface AgentSettings {
  readonly agents: Readonly<Record<string, AgentEntry>>;
  /** Makes the error for the value at `path` of the file. */
  error(path: readonly (string | number)[], message: string): LonghaulError;
}

type Path = readonly (string | number)[];
interface Fault {
  readonly offset: number;
  readonly path: Path;
  readonly message: string;
}

/** Returns the parsed settings. Fails with `invalid_input`. `file` is the name for the messages. */
export function parseAgentSettings(text: string, file: string): AgentSettings {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first || !tree) {
    const message = first ? syntaxMessage(text, first) : 'expected an object such as {"agents": {}}, found nothing';
    throw failure(file, text, [{ offset: first?.offset ?? 0, path: [], message }]);
  }
  const faults = [...doubledKeys(tree), ...schemaFaults(tree)];
  if (faults.length > 0) throw failure(file, text, faults);
  const { agents = {} } = settings.parse(getNodeValue(tree));
  const error = (path: Path, message: string) => failure(file, text, [{ offset: offsetOf(tree, path), path, message }]);
  return { agents, error };
}

function failure(file: string, text: string, faults: readonly Fault[]): LonghaulError {
  const lines = faults.map(({ offset, path, message }) => {
    const before = text.slice(0, offset).split('\n');
    const place = `${file}:${before.length}:${(before.at(-1) ?? '').length + 1}`;
    return `${place}: ${path.length === 0 ? '' : `${path.join('.')}: `}${message}`;
  });
  return new LonghaulError('invalid_input', lines.join('\n'));
}

function syntaxMessage(text: string, { error, offset }: ParseError): string {
  const what = printParseErrorCode(error)
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase();
  const found = JSON.stringify(text.slice(offset, offset + 20).split('\n', 1)[0] ?? '');
  return `expected JSON, found ${offset >= text.length ? 'the end of the file' : found} (${what})`;
}

/**
 * Finds keys that occur twice in an object. In JSON the last of two equal keys has precedence, so the first would have
 * no effect.
 */
function doubledKeys(node: Node, path: Path = []): Fault[] {
  const children = node.children ?? [];
  if (node.type === 'array') return children.flatMap((child, at) => doubledKeys(child, [...path, at]));
  if (node.type !== 'object') return [];
  const seen = new Set<string>();
  return children.flatMap((property) => {
    const [key, value] = property.children ?? [];
    const name = String(key?.value);
    const doubled = seen.has(name) ? [{ offset: property.offset, path: [...path, name], message: 'expected this key once, found it twice' }] : []; // prettier-ignore
    seen.add(name);
    return [...doubled, ...(value ? doubledKeys(value, [...path, name]) : [])];
  });
}

function schemaFaults(tree: Node): Fault[] {
  const parsed = settings.safeParse(getNodeValue(tree));
  if (parsed.success) return [];
  return parsed.error.issues.flatMap((issue) => {
    const path = issue.path.filter((part): part is string | number => typeof part !== 'symbol');
    if (issue.code === 'unrecognized_keys') {
      const known = path.length === 2 ? FIELDS : path.length === 0 ? 'agents' : 'id, label';
      return issue.keys.map((key) => {
        const whole = [...path, key];
        return { offset: offsetOf(tree, whole), path: whole, message: `unknown field; expected one of: ${known}` };
      });
    }
    const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
    return [{ offset: offsetOf(tree, path), path, message: message.replace(/^Invalid input: /, '') }];
  });
}

/**
 * Returns the offset of a property or a list element in the text. If this property or element does not exist, returns
 * the offset of the nearest object around its place.
 */
function offsetOf(tree: Node, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const found = findNodeAtLocation(tree, path.slice(0, length));
    if (found) return found.parent?.type === 'property' ? found.parent.offset : found.offset;
  }
  return tree.offset;
}
