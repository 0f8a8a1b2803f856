/** Returns the version and the build of the running Longhaul. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isErrno } from '../contract/errors.ts';

/**
 * Reads the version from the package's manifest. Compiled files lie one folder deeper below the manifest than the
 * sources do.
 */
export function packageVersion(): string {
  const manifest = new URL(import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/**
 * Returns the version and the digest of the build, as in `0.1.0+3f2a91c0`, or `0.1.0+source` if Longhaul runs from its
 * sources. Two equal build versions mean the same code; with two equal source versions the code may differ. Call this
 * function when a program starts, because a later build replaces the files.
 */
export function buildVersion(): string {
  return `${packageVersion()}+${import.meta.url.endsWith('.ts') ? 'source' : buildDigest()}`;
}

/**
 * Returns the first 8 characters of the SHA-256 of the build's record (bin/build-record.js), or `unknown` if there is
 * no such record.
 */
function buildDigest(): string {
  try {
    const sources = readFileSync(new URL('../sources.json', import.meta.url));
    return createHash('sha256').update(sources).digest('hex').slice(0, 8);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'unknown';
    throw error;
  }
}
