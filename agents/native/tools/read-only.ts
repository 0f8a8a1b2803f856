/** The tools that change nothing: list, read and search. */
import { existsSync, readdirSync } from 'node:fs';
import { z } from 'zod';
import { head } from '../../../contract/cut-text.ts';
import { run } from '../../../processes/run.ts';
import { confine, ToolRefusal } from './confine.ts';
import { textOf } from './text-files.ts';
import type { Tool } from './tool.ts';

const MAX_ENTRIES = 500;
const MAX_LINES = 2_000;
const MAX_CHARS = 30_000;
const SEARCH_TIMEOUT_MS = 60_000;
const MAX_SEARCH_BYTES = 30_000;

const cut = (text: string, limit: number, what: string): string =>
  text.length <= limit ? text : `${head(text, limit)}\n[cut at ${limit} characters; ${what}]`;

export const list: Tool<{ path?: string | undefined }> = {
  name: 'list',
  kind: 'read',
  description: 'Lists the entries of a folder. Folders end with a slash.',
  input: z.object({
    path: z.string().optional().describe('Folder, relative to the working directory. Default: itself.'),
  }),
  changes: false,
  show: ({ path = '.' }, { cwd }) => ({ title: `List ${path}`, paths: [confine(cwd, path).path] }),
  async run({ path = '.' }, { cwd }) {
    const { path: real, shown } = confine(cwd, path);
    if (!existsSync(real)) throw new ToolRefusal(`There is no folder ${shown}.`);
    const entries = readdirSync(real, { withFileTypes: true })
      .filter(({ name }) => name !== '.git')
      .map((entry) => entry.name + (entry.isDirectory() ? '/' : ''))
      .sort();
    const more = entries.length > MAX_ENTRIES ? `\n[${entries.length - MAX_ENTRIES} more]` : '';
    return { ok: true, text: entries.slice(0, MAX_ENTRIES).join('\n') + more || '(empty)' };
  },
};

export const read: Tool<{ path: string; from_line?: number | undefined; lines?: number | undefined }> = {
  name: 'read',
  kind: 'read',
  description: `Reads a text file, at most ${MAX_LINES} lines at once.`,
  input: z.object({
    path: z.string().describe('File, relative to the working directory.'),
    from_line: z.number().int().min(1).optional().describe('First line to read, from 1.'),
    lines: z.number().int().min(1).optional().describe('How many lines.'),
  }),
  changes: false,
  show: ({ path }, { cwd }) => ({ title: `Read ${path}`, paths: [confine(cwd, path).path] }),
  async run({ path, from_line: from = 1, lines = MAX_LINES }, { cwd }) {
    const { path: real, shown } = confine(cwd, path);
    const text = textOf(real, shown);
    if (text === undefined) throw new ToolRefusal(`There is no file ${shown}.`);
    const all = text.split('\n');
    const some = all.slice(from - 1, from - 1 + Math.min(lines, MAX_LINES));
    const left = all.length - (from - 1) - some.length;
    const more = left > 0 ? `\n[${left} more lines; continue from line ${from + some.length}]` : '';
    return { ok: true, text: cut(some.join('\n'), MAX_CHARS, 'read fewer lines') + more || '(empty file)' };
  },
};

export const search: Tool<{ pattern: string; path?: string | undefined }> = {
  name: 'search',
  kind: 'search',
  description:
    'Searches files for an extended regular expression (git grep), ignored files excluded. Prints file:line:text.',
  input: z.object({
    pattern: z.string().min(1).describe('Extended regular expression.'),
    path: z.string().optional().describe('File or folder to search. Default: everything.'),
  }),
  changes: false,
  show: ({ pattern, path = '.' }, { cwd }) => ({
    title: `Search ${JSON.stringify(pattern)}`,
    paths: [confine(cwd, path).path],
  }),
  async run({ pattern, path = '.' }, { cwd, env: inherited, signal }) {
    const { shown } = confine(cwd, path);
    const outside = ['grep', '--no-index'];
    const end = async (mode: readonly string[]) => {
      const args = ['-c', 'core.fsmonitor=false', ...mode, '-nIE', '--no-color', '-e', pattern, '--', shown];
      const env = { ...inherited, GIT_PAGER: 'cat', LC_ALL: 'C.UTF-8' };
      return run({ file: 'git', args, cwd, env, timeoutMs: SEARCH_TIMEOUT_MS, maxStdoutBytes: MAX_SEARCH_BYTES }, { signal }); // prettier-ignore
    };
    let found = await end(['grep', '--untracked']);
    if (found.kind === 'ended' && found.exitCode === 128 && /not a git repository/.test(found.stderr)) {
      found = await end(outside);
    }
    if (found.kind === 'not_started') throw new ToolRefusal(`git could not be started: ${found.message}`);
    const text = found.stdout.toString('utf8');
    if (found.truncated) return { ok: true, text: `${text}\n[cut; search for something more exact]` };
    if (found.timedOut) throw new ToolRefusal('The search took longer than a minute and was ended.');
    if (found.exitCode === 1 && text === '') return { ok: true, text: 'No matches.' };
    if (found.exitCode !== 0) throw new ToolRefusal(`The search failed: ${found.stderr.trim()}`);
    return { ok: true, text };
  },
};
