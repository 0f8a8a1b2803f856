/** Returns how to reach the backend of a stage: its URL and its token. */
import { readFile } from 'node:fs/promises';
import { homePaths, readState } from '../services/home/home.ts';
import { isErrno } from '../contract/errors.ts';
import type { Stage } from './stage.ts';

export interface BackendAccess {
  /** The base URL, http://… */
  readonly url: string;
  /** The token. Undefined if the backend requires no token. */
  readonly token: string | undefined;
}

/** Returns the URL and the token of the stage's backend. Fails if the supervisor has recorded no backend. */
export async function backendAccess({ home }: Stage): Promise<BackendAccess> {
  const paths = homePaths(home);
  const url = (await readState(paths))?.facts.backendUrl;
  if (url === undefined) throw new Error(`${paths.stateFile} names no backend`);
  const token = await readFile(paths.tokenFile, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
  return { url, token: token?.trim() };
}
