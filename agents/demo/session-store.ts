/**
 * Stores the demo agent's sessions: one small JSON file for each session under XDG_STATE_HOME (or ~/.local/state). The
 * file is replaced after every instruction, so that a session survives kill -9 and continues where it stopped.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isErrno } from '../../contract/errors.ts';

const KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/** A turn that was begun. The first `done` instructions are finished; the next instruction may have been begun. */
export interface StoredTurn {
  readonly text: string;
  readonly number: number;
  done: number;
  ended: boolean;
  /** The files that the person did not allow the agent to change. */
  denied: string[];
  /**
   * The length of a file before the current append. After a kill this length shows whether the append was completed.
   */
  lengthBefore?: number;
}

export interface StoredSession {
  readonly id: string;
  readonly cwd: string;
  mode: string;
  model: string;
  thinking: string;
  /** The files that the agent may change without asking again. */
  allowed: string[];
  /** The messages so far, which session/load replays. */
  history: { readonly role: 'user' | 'agent'; readonly text: string }[];
  turn?: StoredTurn;
}

const directory = (): string =>
  join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'longhaul-demo-agent');
const fileOf = (id: string): string => join(directory(), `${id}.json`);

export function saveSession(session: StoredSession): void {
  mkdirSync(directory(), { recursive: true, mode: 0o700 });
  const draft = `${fileOf(session.id)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(session), { mode: 0o600 });
  renameSync(draft, fileOf(session.id));
}

function removeOld(): void {
  for (const name of readdirSync(directory())) {
    const path = join(directory(), name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > KEPT_MS) rmSync(path, { force: true });
  }
}

/** Creates and stores a session. Also removes sessions that were not stored again for 30 days. */
export function createSession(cwd: string): StoredSession {
  const settings = { mode: 'edit', model: 'plain', thinking: 'off' };
  const session: StoredSession = { id: randomUUID(), cwd, ...settings, allowed: [], history: [] };
  saveSession(session);
  removeOld();
  return session;
}

/** Returns the session with this id, or `undefined` if it does not exist or belongs to another directory. */
export function loadSession(id: string, cwd: string): StoredSession | undefined {
  if (!/^[0-9a-f-]{36}$/.test(id)) return undefined;
  try {
    const session = JSON.parse(readFileSync(fileOf(id), 'utf8')) as StoredSession;
    return session.cwd === cwd ? session : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
