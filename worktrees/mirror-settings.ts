/**
 * A project's git settings as the mirror and the worktrees have them: what is in the project's own files, with what those
 * include, and what the user's files include for this project only (`includeIf`). Not hooks, and not what says where and how
 * the project's own repository is kept.
 */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { git, globalFiles } from './git.ts';
import { adminDirOf, ifThere, type Repository } from './repository.ts';

const setting = z.tuple([z.string(), z.string().nullable()]);
/** Null: the key stands alone, which git takes for true. */
type Setting = z.infer<typeof setting>;

export const settingsSchema = z.object({
  /** Of the files that they are from, and of what an `includeIf` may look at. */
  stamp: z.string(),
  files: z.array(z.string()),
  list: z.array(setting),
  /** Of a sparse checkout, which is one worktree's. */
  sparse: z.array(setting),
  extensions: z.array(setting),
});
export type ProjectSettings = z.infer<typeof settingsSchema>;

/** A value is bytes: in latin1 each is a character. */
const toBytes = (text: string): string => Buffer.from(text).toString('latin1');
const fromBytes = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

const LEFT_OUT =
  /^(core\.(worktree|bare|repositoryformatversion|hookspath|fsmonitor|untrackedcache|logallrefupdates|splitindex)|(include|includeif|gc|maintenance|extensions|safe)\..*)$/;
const SPARSE = /^(core\.sparsecheckout(cone)?|index\.sparse)$/;
const EXTENSIONS = /^extensions\.(objectformat|partialclone)$/;

/** Changes with each file that the settings come from, and with the branch, which an `includeIf` may name. */
export function stampOf({ commonDir, topLevel }: Repository, known?: ProjectSettings): string {
  const ownDir = adminDirOf(topLevel) ?? commonDir;
  const files = new Set([...usualFiles(commonDir, ownDir), ...(known?.files ?? [])]);
  const stamps = [...files].sort().map((file) => {
    const status = ifThere(() => statSync(file, { bigint: true }));
    return `${file} ${status === undefined ? '-' : `${status.ino}:${status.size}:${status.mtimeNs}`}`;
  });
  const head = ifThere(() => readFileSync(path.join(ownDir, 'HEAD'), 'utf8')) ?? '';
  return [topLevel, head.startsWith('ref:') ? head.trimEnd() : 'detached', ...stamps].join('\n');
}

const usualFiles = (commonDir: string, ownDir: string): string[] => [
  ...globalFiles(),
  path.join(commonDir, 'config'),
  path.join(ownDir, 'config.worktree'),
];

/** One git process. */
export async function projectSettings(repository: Repository, signal?: AbortSignal): Promise<ProjectSettings> {
  const { topLevel } = repository;
  const args = ['config', '--list', '--includes', '--show-scope', '--show-origin', '--null'];
  const output = (await git(args, { cwd: topLevel, ...(signal && { signal }) })).toString('latin1');
  const [user, own, files]: [Setting[], Setting[], Set<string>] = [[], [], new Set()];
  const fields = output.split('\0');
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const [scope, origin = '', text = ''] = fields.slice(at, at + 3);
    const file = path.resolve(topLevel, fromBytes(origin.replace(/^file:/, '')));
    if (scope === 'command' || scope === 'system') continue;
    files.add(file);
    const end = text.indexOf('\n');
    const entry: Setting = end < 0 ? [text, null] : [text.slice(0, end), text.slice(end + 1)];
    if (scope !== 'global') own.push(entry);
    else if (!globalFiles().includes(file)) user.push(entry);
  }
  const all = [...user, ...own].map((entry) => withAbsoluteUrl(entry, topLevel));
  const settings = {
    files: [...files],
    list: all.filter(([key]) => !LEFT_OUT.test(key) && !SPARSE.test(key)),
    sparse: all.filter(([key]) => SPARSE.test(key)),
    extensions: own.filter(([key]) => EXTENSIONS.test(key)),
  };
  return { ...settings, stamp: stampOf(repository, { ...settings, stamp: '' }) };
}

/** A remote that is a folder beside the project is not beside the worktree. */
function withAbsoluteUrl([key, value]: Setting, topLevel: string): Setting {
  const isUrl = /^remote\..*\.(url|pushurl)$/.test(key);
  return isUrl && value !== null && /^\.\.?(\/|$)/.test(value)
    ? [key, toBytes(path.resolve(topLevel, fromBytes(value)))]
    : [key, value];
}

/** Of the mirror. Its worktrees have settings of their own for sparse checkouts. */
export const configText = ({ list, extensions }: ProjectSettings): Buffer =>
  textOf([['core.repositoryformatversion', '1'], ...extensions, ['extensions.worktreeConfig', 'true'], ...list]);

/** Of a worktree's own repository. */
export function worktreeConfigText({ list, extensions, sparse }: ProjectSettings): Buffer {
  const version = extensions.length > 0 ? '1' : '0';
  return textOf([['core.repositoryformatversion', version], ['core.bare', 'false'], ...extensions, ...list, ...sparse]);
}

export const sparseText = ({ sparse }: ProjectSettings): Buffer => textOf([['core.bare', 'false'], ...sparse]);

/** As git-config writes it. A key is section, subsection (with any character) and name. */
function textOf(settings: readonly Setting[]): Buffer {
  const text = settings
    .map(([key, value]) => {
      const [first, last] = [key.indexOf('.'), key.lastIndexOf('.')];
      const sub = first === last ? '' : ` "${key.slice(first + 1, last).replace(/[\\"]/g, '\\$&')}"`;
      const line = value === null ? '' : ` = "${escaped(value)}"`;
      return `[${key.slice(0, first)}${sub}]\n\t${key.slice(last + 1)}${line}\n`;
    })
    .join('');
  return Buffer.from(text, 'latin1');
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n', '\t': '\\t', '\b': '\\b' };
const escaped = (value: string): string => value.replace(/[\\"\n\t\b]/g, (one) => ESCAPES[one] ?? one);
