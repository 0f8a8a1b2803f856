/**
 * Runs one turn of an agent without Longhaul, as a simple script would: it makes a worktree, runs the agent in it,
 * makes the diff of all edits and removes the worktree. This program is a small process of its own, like a script, so
 * that forking is cheap.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { runPeer } from './acp-peer.ts';

const run = promisify(execFile);

export interface BareRun {
  /** The folder in which the run makes its worktree. */
  readonly folder: string;
  readonly project: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly prompt: string;
}

export interface BareResult {
  readonly ms: number;
  readonly diffBytes: number;
}

async function bareRun({ folder: root, project, command, args, env, prompt }: BareRun): Promise<BareResult> {
  const folder = await mkdtemp(path.join(root, 'bare-'));
  const worktree = path.join(folder, 'worktree');
  const git = async (cwd: string, ...words: string[]): Promise<string> =>
    (await run('git', words, { cwd, maxBuffer: 64 * 1024 * 1024 })).stdout;
  try {
    const started = performance.now();
    await git(project, 'worktree', 'add', '--quiet', '--detach', worktree);
    await runPeer({ command, args, cwd: worktree, env, prompt });
    await git(worktree, 'add', '--all');
    const diff = await git(worktree, 'diff', '--cached', '--binary');
    await git(project, 'worktree', 'remove', '--force', worktree);
    return { ms: performance.now() - started, diffBytes: diff.length };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

process.on('message', (wanted: BareRun) => {
  bareRun(wanted).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
