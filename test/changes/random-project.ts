/** A random repository, and random edits of an agent, from one seed. */
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeRepository, type SampleRepository } from '../lab/repositories.ts';
import { at, Dice, makeFolders, treeAt } from './tree.ts';

const NAMES = [
  'a.txt',
  'b.txt',
  'src/main.js',
  'src/deep/er/x.txt',
  'lat\xefn.l1',
  'd/\xff.txt',
  'd/\xfe.txt',
  '\xe6\x97\xa5\xe6\x9c\xac.txt',
  ' lead.txt',
  '-dash.txt',
  'a "b".txt',
  'tab\there.txt',
  'e\xcc\x81.txt',
  '\xc3\xa9.txt',
  'pic.bin',
  'big.ptr',
  'run.sh',
  'empty',
  'd/e/f/g.txt',
  'z',
] as const;
const ATTRIBUTES = [
  '* text=auto\n',
  '*.txt text eol=crlf\n',
  '*.txt text eol=lf\n',
  '*.txt text\n*.bin binary\n',
  '*.ptr filter=swap\n* text=auto\n',
  '*.l1 text working-tree-encoding=ISO-8859-1\n',
  '*.txt -text\n',
] as const;

const LINES = ['alpha', 'beta', 'gamma', 'delta\t', 'epsilon ', 'caf\xe9'] as const;

function content(dice: Dice, key: string): Buffer {
  const kind = dice.below(10);
  if (kind === 0) return Buffer.of();
  if (kind === 1 || key.endsWith('.bin')) return Buffer.from(Array.from({ length: 40 }, () => dice.below(256)));
  const eol = dice.pick(['\n', '\n', '\r\n'] as const);
  const lines = Array.from({ length: 3 + dice.below(12) }, (_, line) => `${line} ${dice.pick(LINES)}`);
  return Buffer.from(`${lines.join(eol)}${dice.chance(0.8) ? eol : ''}`, 'latin1');
}

function write(root: string, key: string, bytes: Buffer, mode: number): void {
  makeFolders(root, key);
  rmSync(at(root, key), { force: true, recursive: true });
  writeFileSync(at(root, key), bytes);
  chmodSync(at(root, key), mode);
}

export interface RandomProject {
  readonly repository: SampleRepository;
  readonly settings: readonly string[];
}

export async function randomProject(dice: Dice, folder: string): Promise<RandomProject> {
  mkdirSync(folder, { recursive: true });
  const repository = await makeRepository(folder, {});
  const { path: root } = repository;
  const git = (...args: string[]): Promise<string> => repository.git(...args);
  for (const key of NAMES.filter(() => dice.chance(0.6))) {
    if (dice.chance(0.1)) {
      makeFolders(root, key);
      symlinkSync(dice.pick(['a.txt', 'nowhere', '../outside']), at(root, key));
    } else write(root, key, content(dice, key), dice.chance(0.2) ? 0o755 : 0o644);
  }
  write(root, 'always.txt', Buffer.from('one\ntwo\nthree\nfour\nfive\n'), 0o644);
  const late = dice.chance(0.3);
  const attributes = dice.chance(0.6) ? dice.pick(ATTRIBUTES) : undefined;
  if (attributes !== undefined && !late) writeFileSync(path.join(root, '.gitattributes'), attributes);
  const settings = [
    ...dice.pick([[], ['core.autocrlf=true'], ['core.autocrlf=input'], ['core.autocrlf=false']]),
    ...dice.pick([[], ['core.eol=lf'], ['core.eol=crlf']]),
    ...dice.pick([[], [], ['core.fileMode=false']]),
  ];
  const filter = ['filter.swap.clean=tr a-z A-Z', 'filter.swap.smudge=tr A-Z a-z', 'filter.swap.required=true'];
  for (const setting of [...settings, ...filter]) {
    const [key = '', ...value] = setting.split('=');
    await git('config', key, value.join('='));
  }
  await repository.commit('first');
  if (attributes !== undefined && late) {
    // Attributes that came after the files: these are stored in a form that git would not give them now.
    writeFileSync(path.join(root, '.gitattributes'), attributes);
    await git('add', '.gitattributes');
    await git('commit', '--quiet', '-m', 'attributes');
  }
  await git('rm', '-r', '--cached', '--quiet', '.');
  await git('reset', '--hard', '--quiet', 'HEAD');
  if (dice.chance(0.15)) {
    await git('sparse-checkout', 'set', '--cone', 'src');
    // Git leaves files outside the cone that it takes for changed.
    await git('checkout', '--quiet', '--force', 'main');
  }
  return { repository, settings: [...settings, ...(attributes === undefined ? [] : [attributes])] };
}

/** What an agent does in its worktree. */
export function editAtRandom(dice: Dice, root: string): void {
  const edits = 1 + dice.below(7);
  for (let edit = 0; edit < edits; edit += 1) {
    const present = Object.keys(treeAt(root)).filter((key) => key !== '.gitattributes');
    editOnce(dice, root, present);
  }
}

function editOnce(dice: Dice, root: string, present: readonly string[]): void {
  const fresh = dice.chance(0.5) ? `new-${dice.below(5)}/${dice.pick(NAMES)}` : dice.pick(NAMES);
  const key = present.length === 0 || dice.chance(0.25) ? fresh : dice.pick(present);
  const there = present.includes(key);
  if (isBelowFile(root, key)) return;
  switch (dice.below(10)) {
    case 0:
      return rmSync(at(root, key), { recursive: true, force: true });
    case 1: {
      const to = `moved-${dice.below(3)}/${key.replaceAll('/', '-')}`;
      if (!there || present.some((one) => one.startsWith(`${to}/`)) || isBelowFile(root, to)) return;
      makeFolders(root, to);
      rmSync(at(root, to), { recursive: true, force: true });
      return renameSync(at(root, key), at(root, to));
    }
    case 2:
      if (there && !lstatSync(at(root, key)).isSymbolicLink())
        chmodSync(at(root, key), dice.chance(0.5) ? 0o755 : 0o644);
      return;
    case 3:
      makeFolders(root, key);
      rmSync(at(root, key), { recursive: true, force: true });
      return symlinkSync(dice.pick(['a.txt', 'elsewhere', 'src']), at(root, key));
    case 4:
      // A folder takes the place of a file.
      rmSync(at(root, key), { recursive: true, force: true });
      return write(root, `${key}/inner.txt`, content(dice, 'inner.txt'), 0o644);
    case 5:
      if (dice.chance(0.3)) writeFileSync(path.join(root, '.gitattributes'), dice.pick(ATTRIBUTES));
      return;
    case 6: {
      if (!there || lstatSync(at(root, key)).isSymbolicLink()) return;
      const now = readFileSync(at(root, key));
      return writeFileSync(at(root, key), Buffer.concat([now, Buffer.from('more\n')]));
    }
    default:
      return write(root, key, content(dice, key), there || dice.chance(0.8) ? 0o644 : 0o755);
  }
}

function isBelowFile(root: string, key: string): boolean {
  const parts = key.split('/');
  return parts.slice(0, -1).some((_, index) => {
    try {
      return !lstatSync(at(root, parts.slice(0, index + 1).join('/'))).isDirectory();
    } catch {
      return false;
    }
  });
}
