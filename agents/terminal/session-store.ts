/**
 * Stores the adapter's data of a session for a later process: one small JSON file for each session under XDG_STATE_HOME
 * (or ~/.local/state), replaced as a whole. The agent itself stores the conversation.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isErrno } from '../../contract/errors.ts';

const KEPT_MS = 90 * 24 * 60 * 60 * 1000;

export interface StoredSession {
  readonly id: string;
  readonly agent: string;
  readonly cwd: string;
  model?: string;
  mode?: string;
  thinking?: string;
  /** The agent's own conversation. `begun` is true when a turn was started in it. */
  conversation?: { readonly id: string; readonly begun: boolean };
}

export interface SessionStore {
  create(agent: string, cwd: string): StoredSession;
  /** Returns the session with this id, or `undefined` if it does not exist or belongs to another agent or directory. */
  load(id: string, of: { agent: string; cwd: string }): StoredSession | undefined;
  save(session: StoredSession): void;
}

export function sessionStore(env: NodeJS.ProcessEnv): SessionStore {
  const folder = join(env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'longhaul-terminal');
  const fileOf = (id: string): string => join(folder, `${id}.json`);
  const save = (session: StoredSession): void => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const draft = `${fileOf(session.id)}.${process.pid}`;
    writeFileSync(draft, JSON.stringify(session), { mode: 0o600 });
    renameSync(draft, fileOf(session.id));
  };
  return {
    save,
    create(agent, cwd) {
      const session: StoredSession = { id: randomUUID(), agent, cwd };
      save(session);
      removeOld(folder);
      return session;
    },
    load(id, of) {
      const session = /^[0-9a-f-]{36}$/.test(id) ? read(fileOf(id)) : undefined;
      return session?.agent === of.agent && session.cwd === of.cwd ? session : undefined;
    },
  };
}

function read(file: string): StoredSession | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StoredSession;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function removeOld(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > KEPT_MS) rmSync(path, { force: true });
  }
}
