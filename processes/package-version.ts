/** The version and build of this Longhaul. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isErrno } from '../contract/errors.ts';

/** From the package's manifest, which lies one folder higher for the build. */
export function packageVersion(): string {
  const manifest = new URL(import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/**
 * The version and which build of it, as `0.1.0+3f2a91c0`; `0.1.0+source` for one that runs from its sources. Two that are
 * equal are the same code, except from sources. Read when a program starts: a later build takes the place of the files.
 */
export function buildVersion(): string {
  return `${packageVersion()}+${import.meta.url.endsWith('.ts') ? 'source' : buildDigest()}`;
}

/** The digest in the record of the build (bin/build-record.js). */
function buildDigest(): string {
  try {
    const sources = readFileSync(new URL('../sources.json', import.meta.url));
    return createHash('sha256').update(sources).digest('hex').slice(0, 8);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'unknown';
    throw error;
  }
}
