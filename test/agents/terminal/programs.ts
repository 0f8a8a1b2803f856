/** Small command-line agents for the adapter's tests, and the adapter with one of them. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import type { AgentLaunch } from '../../../agents/launch/launch.ts';
import { launchInTerminal } from '../../../agents/launch/terminal.ts';
import type { Lab } from '../lab.ts';

/** An executable file of this code: JavaScript, unless it begins with `#!`. */
export function programOf(lab: Lab, code: string, name = 'program'): string {
  const folder = path.join(lab.home, 'bin');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, name);
  writeFileSync(file, code.startsWith('#!') ? code : `#!${process.execPath}\n${code}`);
  chmodSync(file, 0o755);
  return file;
}

/** The adapter for an agent of this name, whose program is the code. */
export function inTerminal(lab: Lab, code: string, name = 'mine'): AgentLaunch {
  const installPath = programOf(lab, code);
  return launchInTerminal({
    path: 'pty',
    agent: { name, installPath },
    env: { PATH: process.env['PATH'], LONGHAUL_HOME: lab.home },
  });
}

/** The lines of each recording of the lab's task, oldest first. */
export function recordingsOf(lab: Lab): string[][] {
  const folder = path.join(lab.home, 'recordings', lab.taskId);
  return readdirSync(folder)
    .toSorted()
    .map((name) =>
      // One that was cut off by a kill is read as far as it goes.
      gunzipSync(readFileSync(path.join(folder, name)), { finishFlush: constants.Z_SYNC_FLUSH })
        .toString('utf8')
        .trimEnd()
        .split('\n'),
    );
}
