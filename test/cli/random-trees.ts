/** Trees as people and agents make them, and worse: odd names, links, bytes, and edits from one to the next. */
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import * as fc from 'fast-check';

/** `link`: the content is where it leads. */
export interface Entry {
  readonly kind: 'file' | 'program' | 'link';
  readonly content: Buffer;
}
/** By path, in latin1: each byte is a character. */
export type Tree = ReadonlyMap<string, Entry>;

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

const oddName = fc
  .uint8Array({ minLength: 1, maxLength: 6 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x5f : byte))).toString('latin1'))
  .filter((name) => !/^\.|^git~/i.test(name));
const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('a', 'b', 'c d', 'e.txt') },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ' lead',
      'trail ',
      '-dash',
      'q"uote',
      "it's",
      'tab\tx',
      'line\nbreak',
      'back\\slash',
      'r\r',
      '*?[x]',
      ':(top)x',
      '.hidden',
      'dev',
      'null',
      'a => b',
      '{a => b}',
      'diff --git a',
      '/dev/null'.slice(1, 4),
      '\u0001',
      '\x7f',
      '\xff',
      '\xfe',
      'caf\xe9',
      '\xc3',
      ...['ü', 'u\u0308', '日本語', '😀'].map(latin1),
    ),
  },
  { weight: 2, arbitrary: oddName },
);
const filePath = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));

const line = fc.oneof(
  fc.constantFrom(
    'one',
    'two',
    '',
    ' ',
    '\t',
    'trailing  ',
    '+++ b/x',
    '--- a/x',
    '@@ -1 +1 @@',
    'caf\xe9',
    'cr\r',
    '\r',
    '-',
    '\\',
  ),
  fc.string({ maxLength: 12 }).map(latin1),
);
const text = fc
  .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'), fc.boolean())
  .map(([lines, end, ended]) => Buffer.from(lines.join(end) + (ended && lines.length > 0 ? end : ''), 'latin1'));
/** Similar enough for git to see a rename. */
const long = fc
  .tuple(fc.constantFrom('x', 'y'), line)
  .map(([letter, last]) => Buffer.from(`${`${letter}\n`.repeat(40)}${last}\n`, 'latin1'));
const binary = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([Buffer.of(0), bytes]));
const huge = fc.constantFrom(30_000, 120_000).map((count) => Buffer.from('a line of text\n'.repeat(count)));
const content = fc.oneof(
  { weight: 12, arbitrary: text },
  { weight: 6, arbitrary: long },
  { weight: 4, arbitrary: binary },
  { weight: 2, arbitrary: fc.constant(Buffer.alloc(0)) },
  { weight: 1, arbitrary: huge },
);
/** Links to themselves, to each other, to files, to folders, through a folder that does not exist, to a name too long for a file. */
const linkTarget = fc
  .constantFrom(
    'a',
    'b',
    'c d',
    '../a',
    'b/c d',
    'a/b/a',
    '.',
    '..',
    'nowhere',
    'nowhere/../a',
    `${'long'.repeat(70)}/a`,
    '../out',
    'caf\xe9',
    'with\nbreak',
    '/abs',
  )
  .map((at) => Buffer.from(at, 'latin1'));
const entry: fc.Arbitrary<Entry> = fc.oneof(
  { weight: 6, arbitrary: content.map((content): Entry => ({ kind: 'file', content })) },
  { weight: 2, arbitrary: content.map((content): Entry => ({ kind: 'program', content })) },
  { weight: 3, arbitrary: linkTarget.map((content): Entry => ({ kind: 'link', content })) },
);

/** A file has no file below it: the later one stays. */
function put(tree: Map<string, Entry>, at: string, entry: Entry): void {
  for (const other of tree.keys())
    if (`${other}/`.startsWith(`${at}/`) || `${at}/`.startsWith(`${other}/`)) tree.delete(other);
  tree.set(at, entry);
}

const entries = fc.array(fc.tuple(filePath, entry), { minLength: 1, maxLength: 12 });
type Edit = (tree: Map<string, Entry>) => void;
const anyOf = (tree: Tree, pick: number): [string, Entry] | undefined => [...tree][pick % Math.max(1, tree.size)];
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(filePath, entry).map(
    ([at, entry]): Edit =>
      (tree) =>
        put(tree, at, entry),
  ),
  fc.nat().map(
    (pick): Edit =>
      (tree) =>
        tree.delete(anyOf(tree, pick)?.[0] ?? ''),
  ),
  fc.tuple(fc.nat(), entry).map(
    ([pick, entry]): Edit =>
      (tree) =>
        put(tree, anyOf(tree, pick)?.[0] ?? 'new', entry),
  ),
  fc.tuple(fc.nat(), filePath, line).map(([pick, to, more]): Edit => (tree) => {
    const [from, moved] = anyOf(tree, pick) ?? [];
    if (from === undefined || moved === undefined) return;
    tree.delete(from);
    const added = moved.kind === 'link' ? moved.content : Buffer.concat([moved.content, Buffer.from(more, 'latin1')]);
    put(tree, to, { ...moved, content: added });
  }),
  fc.nat().map((pick): Edit => (tree) => {
    const [at, found] = anyOf(tree, pick) ?? [];
    if (at === undefined || !found || found.kind === 'link') return;
    tree.set(at, { ...found, kind: found.kind === 'file' ? 'program' : 'file' });
  }),
  // A folder becomes a file, a file a folder.
  fc.tuple(fc.nat(), entry).map(
    ([pick, entry]): Edit =>
      (tree) =>
        put(tree, (anyOf(tree, pick)?.[0] ?? 'x').split('/')[0] ?? 'x', entry),
  ),
  fc.tuple(fc.nat(), name, entry).map(
    ([pick, below, entry]): Edit =>
      (tree) =>
        put(tree, `${anyOf(tree, pick)?.[0] ?? 'x'}/${below}`, entry),
  ),
  // A link becomes a folder.
  fc.tuple(fc.nat(), filePath, entry).map(([pick, below, entry]): Edit => (tree) => {
    const links = new Map([...tree].filter(([, { kind }]) => kind === 'link'));
    put(tree, `${anyOf(links, pick)?.[0] ?? 'x'}/${below}`, entry);
  }),
);
export const twoTrees: fc.Arbitrary<{ before: Tree; after: Tree }> = fc
  .tuple(entries, fc.array(edit, { minLength: 1, maxLength: 8 }))
  .map(([first, edits]) => {
    const before = new Map<string, Entry>();
    for (const [at, entry] of first) put(before, at, entry);
    const after = new Map(before);
    for (const change of edits) change(after);
    return { before, after };
  });

export async function writeTree(folder: string, tree: Tree): Promise<void> {
  for (const item of await readdir(folder, { encoding: 'buffer' })) {
    if (item.toString() !== '.git') await rm(Buffer.concat([Buffer.from(`${folder}/`), item]), { recursive: true });
  }
  for (const [at, { kind, content }] of tree) {
    const bytes = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(at, 'latin1')]);
    await mkdir(bytes.subarray(0, bytes.lastIndexOf(0x2f)), { recursive: true });
    if (kind === 'link') await symlink(content, bytes);
    else await writeFile(bytes, content, { mode: kind === 'program' ? 0o755 : 0o644 });
  }
}
