/** Sample git repositories for tests: real ones, in folders of their own, free of this machine's git settings. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Content by path. An object: a symbolic link, or a file with a mode. */
export type Files = Readonly<
  Record<string, string | Buffer | { readonly link: string } | { readonly mode: number; readonly content: string }>
>;

export interface SampleRepository {
  /** Real path of the checkout. */
  readonly path: string;
  git(...args: string[]): Promise<string>;
  /** Writes files below the checkout, without a commit. */
  write(files: Files): Promise<void>;
  /** Commits all there is and returns the commit's id. */
  commit(message?: string): Promise<string>;
  /**
   * Hashes of all that must not change under a user: HEAD, index, config, refs (but refs/longhaul), hooks,
   * lists of worktrees and branches, stash, and every file of the checkout with its mode. By name, so that
   * `toEqual` says which differs.
   */
  fingerprint(): Promise<Record<string, string>>;
}

const SETTINGS = [
  '-c',
  'user.name=Sam Sample',
  '-c',
  'user.email=sam@example.test',
  '-c',
  'commit.gpgSign=false',
  '-c',
  'gc.auto=0',
];
const ENVIRONMENT = {
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_DATE: '2026-01-01T12:00:00Z',
  GIT_COMMITTER_DATE: '2026-01-01T12:00:00Z',
};

/** Git as a user would run it in `cwd`. */
export async function gitIn(cwd: string, ...args: string[]): Promise<string> {
  const settings = [...SETTINGS, '-c', 'init.defaultBranch=main', '-c', 'protocol.file.allow=always'];
  const { stdout } = await run('git', [...settings, ...args], { cwd, env: ENVIRONMENT, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trimEnd();
}

/** A fresh folder with its real path; the test removes it (`removeFolder`). */
export async function makeFolder(prefix = 'longhaul-test-'): Promise<string> {
  return realpath(await mkdtemp(path.join(tmpdir(), prefix)));
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}

export const SAMPLE_FILES: Files = {
  'README.md': '# Sample\n\nA small project.\n',
  'src/main.js': "import { greet } from './greet.js';\nconsole.log(greet('world'));\n",
  'src/greet.js': 'export const greet = (name) => `Hello, ${name}`;\n',
  '.gitignore': 'node_modules/\n*.log\n',
};

/** A repository with one commit at `folder`, which is made; `files: {}` makes one without any commit. */
export async function makeRepository(folder: string, files: Files = SAMPLE_FILES): Promise<SampleRepository> {
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  const git = (...args: string[]): Promise<string> => gitIn(root, ...args);
  await git('init', '--quiet');
  const commit = async (message = 'Sample'): Promise<string> => {
    await git('add', '--all');
    await git('commit', '--quiet', '--message', message);
    return git('rev-parse', 'HEAD');
  };
  await writeFiles(root, files);
  if (Object.keys(files).length > 0) await commit();
  return { path: root, git, commit, write: (files) => writeFiles(root, files), fingerprint: () => fingerprint(root) };
}

export async function writeFiles(root: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    await mkdir(path.dirname(file), { recursive: true });
    if (typeof content === 'string' || Buffer.isBuffer(content)) await writeFile(file, content);
    else if ('link' in content) await symlink(content.link, file);
    else {
      await writeFile(file, content.content);
      await chmod(file, content.mode);
    }
  }
}

/** Every file below `root` but `.git`, by path: kind, mode and hash of the content. Equal: the same tree, byte for byte. */
export async function treeOf(root: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  const visit = async (folder: string): Promise<void> => {
    for (const name of (await readdir(path.join(root, folder))).sort()) {
      if (name === '.git') continue;
      const at = path.join(folder, name);
      const status = await lstat(path.join(root, at));
      const mode = (status.mode & 0o777).toString(8);
      if (status.isDirectory()) await visit(at);
      else if (status.isSymbolicLink()) tree[at] = `link ${await readlink(path.join(root, at))}`;
      else tree[at] = `${mode} ${hash(await readFile(path.join(root, at)))}`;
    }
  };
  await visit('');
  return tree;
}

async function fingerprint(root: string): Promise<Record<string, string>> {
  const dir = path.join(root, '.git');
  const print: Record<string, string> = {};
  for (const name of (await readdir(dir)).sort()) {
    if (name === 'objects' || name === 'packed-refs' || name === 'refs') continue;
    const file = path.join(dir, name);
    print[`.git/${name}`] = (await lstat(file)).isDirectory()
      ? hash(JSON.stringify(await treeOf(file)))
      : hash(await readFile(file));
  }
  const refs = await gitIn(root, 'for-each-ref', '--format=%(refname) %(objectname)');
  print['refs'] = hash(
    refs
      .split('\n')
      .filter((line) => !line.startsWith('refs/longhaul/'))
      .join('\n'),
  );
  print['files'] = hash(JSON.stringify(await treeOf(root)));
  return print;
}

function hash(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
