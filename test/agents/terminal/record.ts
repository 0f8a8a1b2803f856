/**
 * Records what real programs show in a terminal, for screens.test.ts:
 * `node --import tsx test/agents/terminal/record.ts [name …]`. It needs npm, pip, vim, git and tmux, and a package registry.
 * A recording is reviewed with its text before it is committed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findCommand } from '../../../agents/process/find-command.ts';
import { Recording } from '../../../agents/terminal/recording.ts';
import { TerminalRun } from '../../../agents/terminal/terminal-run.ts';
import { SCREENS } from './recorded.ts';

interface Scene {
  readonly command: readonly [program: string, ...args: string[]];
  /** Makes what the program works on. */
  readonly prepare?: (folder: string) => void;
  /** Types and resizes at its own pace. */
  readonly play?: (run: TerminalRun) => Promise<void>;
  readonly stopAfterMs?: number;
}

const WIDE = [
  '日本語のテキスト、한국어, 中文: wide characters',
  'e\u0301 a\u0308 n\u0303: combining marks; Ζαλγο\u0336\u0337\u0338',
  '👩‍👩‍👧 👍🏽 🇩🇪: joined emoji',
  `${'漢字'.repeat(45)}: wrapped in the middle`,
  'שלום مرحبا: right to left',
];
const NODE = (script: string): Scene['command'] => ['node', '-e', script];

const SCENES: Readonly<Record<string, Scene>> = {
  'npm-install': {
    command: ['npm', 'install', '--no-audit', '--no-fund', 'express@4.21.2', 'deep-equal@2.2.3'],
    prepare: (folder) => writeFileSync(path.join(folder, 'package.json'), '{"name":"shop","version":"1.0.0"}'),
  },
  spinner: { command: ['pip', 'download', '--no-deps', '--no-binary', ':all:', '--no-cache-dir', 'six==1.16.0'] },
  'progress-bar': { command: ['pip', 'download', '--no-deps', '--no-cache-dir', 'numpy==2.1.3'] },
  vim: {
    command: ['vim', '-u', 'NONE', '-N', 'notes.txt'],
    prepare: (folder) => writeFileSync(path.join(folder, 'notes.txt'), 'first\nsecond\n'),
    async play(run) {
      for (const keys of ['G', 'o', 'third, typed in vim', '\u001b', ':wq\r']) {
        await sleep(400);
        run.type(keys);
      }
    },
  },
  'wide-characters': {
    command: ['cat', 'wide.txt'],
    prepare: (folder) => writeFileSync(path.join(folder, 'wide.txt'), `${WIDE.join('\n')}\n`),
  },
  'colours-24-bit': {
    command: [
      'git',
      '-c',
      'color.diff.old=#ff5555',
      '-c',
      'color.diff.new=#50fa7b bold',
      '-c',
      'core.pager=cat',
      'diff',
      '--color=always',
      '--no-index',
      'a.txt',
      'b.txt',
    ],
    prepare(folder) {
      writeFileSync(path.join(folder, 'a.txt'), 'one\ntwo\nthree\n');
      writeFileSync(path.join(folder, 'b.txt'), 'one\nzwei\nthree\nfour\n');
    },
  },
  resize: {
    command: NODE(`
      const show = () => console.log('window: ' + process.stdout.columns + ' x ' + process.stdout.rows + ' ' + 'wraps '.repeat(30) + 'end');
      show();
      process.stdout.on('resize', show);
      setTimeout(() => process.exit(0), 2500);`),
    async play(run) {
      await sleep(600);
      await run.resize({ cols: 60, rows: 12 });
      await sleep(600);
      await run.resize({ cols: 150, rows: 40 });
    },
  },
  redraws: {
    command: ['git', 'clone', '--progress', '--no-local', '.git', 'copy'],
    prepare: (folder) =>
      void execFileSync('git', ['clone', '--bare', '--quiet', process.cwd(), path.join(folder, '.git')]),
  },
  tui: {
    prepare: (folder) =>
      writeFileSync(path.join(folder, 'tmux.conf'), 'set -g status-right "a terminal in a terminal"\n'),
    command: [
      'tmux',
      '-L',
      `record-${process.pid}`,
      '-f',
      'tmux.conf',
      'new-session',
      'seq 1 60; sleep 2; echo the last line; sleep 1',
    ],
  },
  flood: { command: ['yes', 'A line of a long build log, again and again'], stopAfterMs: 5_000 },
};

/** What only this machine has is not shown. */
function environment(): Record<string, string> {
  const { PIP_FIND_LINKS: _, ...env } = process.env;
  return { ...(env as Record<string, string>), LC_ALL: 'C.UTF-8' };
}

async function record(name: string, { command, prepare, play, stopAfterMs }: Scene): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'longhaul-record-'));
  try {
    prepare?.(folder);
    const [program, ...args] = command;
    const file = findCommand(program, process.env['PATH']);
    if (file === undefined) throw new Error(`${program} is not installed`);
    const size = { cols: 80, rows: 24 };
    const recordings = path.join(folder, 'recordings');
    const recording = new Recording(recordings, size, name);
    const stop = new AbortController();
    let chars = 0;
    const run = new TerminalRun({
      file,
      args,
      cwd: folder,
      env: environment(),
      size,
      questions: [],
      interrupt: '\u0003',
      recording,
      signal: stop.signal,
      onText: (text) => {
        chars += text.length;
        if (stopAfterMs !== undefined && chars > 5_000_000) stop.abort();
      },
      onProgress: () => {},
      ask: () => Promise.resolve(undefined),
    });
    await play?.(run);
    await run.result;
    const [cast = ''] = readdirSync(recordings);
    renameSync(path.join(recordings, cast), path.join(SCREENS, `${name}.cast.gz`));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const wanted = process.argv.slice(2);
for (const [name, scene] of Object.entries(SCENES)) {
  if (wanted.length === 0 || wanted.includes(name)) await record(name, scene);
}
