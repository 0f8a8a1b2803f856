/**
 * Checkout of large files (git-lfs) when git-lfs is missing. Git cannot check out a repository whose attributes require
 * a filter that is not installed. With the filter switched off, the worktree contains the small pointer files that git
 * stores, and these pointer files are committed unchanged.
 */
import { accessSync, constants, readFileSync } from 'node:fs';
import path from 'node:path';

/** Git settings that switch the filter of git-lfs off. */
export const WITHOUT_LFS: Readonly<Record<string, string>> = {
  'filter.lfs.process': '',
  'filter.lfs.smudge': '',
  'filter.lfs.clean': '',
  'filter.lfs.required': 'false',
};

const installed = new Map<string, boolean>();

/** Whether `git-lfs` is on PATH. The result is cached for each value of PATH. */
export function hasLfs(pathVariable: string = process.env['PATH'] ?? ''): boolean {
  let found = installed.get(pathVariable);
  if (found === undefined) {
    found = pathVariable.split(path.delimiter).some((folder) => isExecutable(path.join(folder, 'git-lfs')));
    installed.set(pathVariable, found);
  }
  return found;
}

/** Returns settings that switch the filter off if git-lfs is not installed; otherwise none. */
export function missingFilterSettings(): Readonly<Record<string, string>> {
  return hasLfs() ? {} : WITHOUT_LFS;
}

/** Whether the attributes in the top folder use git-lfs for some files. */
export function usesLfs(topLevel: string): boolean {
  try {
    return /\bfilter=lfs\b/.test(readFileSync(path.join(topLevel, '.gitattributes'), 'utf8'));
  } catch {
    return false;
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
