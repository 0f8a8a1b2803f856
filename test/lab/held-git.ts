/** A `git` that waits or fails, for holding a step at its moment from outside. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface HeldGit {
  /** For the worker that is to be held. */
  readonly env: { readonly PATH: string };
  /** git waits when its arguments have these words. */
  hold(words: string): Promise<void>;
  /** Whether a git waits now. */
  holds(): boolean;
  release(): Promise<void>;
  /** git fails when its arguments have these words, until `release`. */
  fail(words: string): Promise<void>;
}

export async function heldGit(folder: string): Promise<HeldGit> {
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  const at = (name: string): string => path.join(folder, name);
  await mkdir(folder, { recursive: true });
  const script = `#!/bin/sh
if [ -f '${at('failing')}' ]; then
  case " $* " in *" $(cat '${at('failing')}') "*) echo 'fatal: told to fail' >&2; exit 128;; esac
fi
if [ -f '${at('words')}' ]; then
  case " $* " in *" $(cat '${at('words')}') "*) echo $$ > '${at('held')}'; while [ -f '${at('words')}' ]; do sleep 0.05; done;; esac
fi
exec ${real} "$@"
`;
  await writeFile(at('git'), script);
  await chmod(at('git'), 0o755);
  return {
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
    hold: (words) => writeFile(at('words'), words),
    holds: () => existsSync(at('held')),
    release: async () => {
      for (const name of ['words', 'held', 'failing']) await rm(at(name), { force: true });
    },
    fail: (words) => writeFile(at('failing'), words),
  };
}
