/**
 * A project's git settings for the mirror and the worktrees: the settings in the project's own files and their
 * includes, and those that the user's files include for this project only (`includeIf`). Hooks and settings about the
 * storage of the project's own repository are left out.
 */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { git, userSettingsFiles } from './git.ts';
import { adminDirOf, orAbsentSync, type Repository } from './repository.ts';

const setting = z.tuple([z.string(), z.string().nullable()]);
/** A key and its value. The value is null if the key has none; git reads such a key as true. */
type Setting = z.infer<typeof setting>;

export const settingsSchema = z.object({
  /** The state of the files that the settings come from, and of everything that an `includeIf` may depend on. */
  stamp: z.string(),
  files: z.array(z.string()),
  list: z.array(setting),
  /**
   * The sparse-checkout settings of the project's checkout. They are written to the config file of each worktree, not
   * to the mirror's.
   */
  sparse: z.array(setting),
  extensions: z.array(setting),
});
export type ProjectSettings = z.infer<typeof settingsSchema>;

/** Values are stored as latin1 text, one character for each byte. */
const toBytes = (text: string): string => Buffer.from(text).toString('latin1');
const fromBytes = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

const LEFT_OUT =
  /^(core\.(worktree|bare|repositoryformatversion|hookspath|fsmonitor|untrackedcache|logallrefupdates|splitindex)|(include|includeif|gc|maintenance|extensions|safe)\..*)$/;
const SPARSE = /^(core\.sparsecheckout(cone)?|index\.sparse)$/;
const EXTENSIONS = /^extensions\.(objectformat|partialclone)$/;

/**
 * Returns a text that changes with each file that the settings come from, and with the branch that is checked out,
 * because an `includeIf` may depend on the branch.
 */
export function settingsStamp({ commonDir, topLevel }: Repository, known?: ProjectSettings): string {
  const ownDir = adminDirOf(topLevel) ?? commonDir;
  const files = new Set([...usualFiles(commonDir, ownDir), ...(known?.files ?? [])]);
  const stamps = [...files].sort().map((file) => {
    const status = orAbsentSync(() => statSync(file, { bigint: true }));
    return `${file} ${status === undefined ? '-' : `${status.ino}:${status.size}:${status.mtimeNs}`}`;
  });
  const head = orAbsentSync(() => readFileSync(path.join(ownDir, 'HEAD'), 'utf8')) ?? '';
  return [topLevel, head.startsWith('ref:') ? head.trimEnd() : 'detached', ...stamps].join('\n');
}

const usualFiles = (commonDir: string, ownDir: string): string[] => [
  ...userSettingsFiles(),
  path.join(commonDir, 'config'),
  path.join(ownDir, 'config.worktree'),
];

/** Reads the settings. Starts one git process. */
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
    else if (!userSettingsFiles().includes(file)) user.push(entry);
  }
  const all = [...user, ...own].map((entry) => withAbsoluteUrl(entry, topLevel));
  const settings = {
    files: [...files],
    list: all.filter(([key]) => !LEFT_OUT.test(key) && !SPARSE.test(key)),
    sparse: all.filter(([key]) => SPARSE.test(key)),
    extensions: own.filter(([key]) => EXTENSIONS.test(key)),
  };
  return { ...settings, stamp: settingsStamp(repository, { ...settings, stamp: '' }) };
}

/** Makes a remote's relative path absolute, because the path is relative to the project and not to the worktree. */
function withAbsoluteUrl([key, value]: Setting, topLevel: string): Setting {
  const isUrl = /^remote\..*\.(url|pushurl)$/.test(key);
  return isUrl && value !== null && /^\.\.?(\/|$)/.test(value)
    ? [key, toBytes(path.resolve(topLevel, fromBytes(value)))]
    : [key, value];
}

/**
 * Returns the text of the mirror's config file. Settings for sparse checkouts are not in this file but in the config
 * file of each worktree.
 */
export const mirrorConfigText = ({ list, extensions }: ProjectSettings): Buffer =>
  textOf([['core.repositoryformatversion', '1'], ...extensions, ['extensions.worktreeConfig', 'true'], ...list]);

/** Returns the text of the config file of a worktree's own repository. */
export function worktreeConfigText({ list, extensions, sparse }: ProjectSettings): Buffer {
  const version = extensions.length > 0 ? '1' : '0';
  return textOf([['core.repositoryformatversion', version], ['core.bare', 'false'], ...extensions, ...list, ...sparse]);
}

export const sparseConfigText = ({ sparse }: ProjectSettings): Buffer => textOf([['core.bare', 'false'], ...sparse]);

/**
 * Returns the settings as text in the form of git-config. A key consists of section, subsection (any character) and
 * name.
 */
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
