// Records docs/media/run.svg: a real task on a real home, its worker killed in the middle.
//
//   longhaul up -d
//   node docs/media/record.mjs FOLDER > run.cast    # FOLDER: a git repository with a commit
//   npx svg-term-cli@2.1.1 --in run.cast --out docs/media/run.svg --window --no-cursor --padding 12 --at END_IN_MS
//
// What is typed and what is printed is as it was; waits of more than a second are shortened to one.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { spawn } from 'node-pty';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: node docs/media/record.mjs FOLDER');
const cli = fileURLToPath(new URL('../../bin/longhaul.js', import.meta.url));
const LONGEST_WAIT = 1;
const [cols, rows] = [96, 38];
// A sequence that terminals do not show: the shell is back.
const BACK = '\u001b]777;back\u0007';

const shell = spawn('bash', ['--norc', '--noprofile'], {
  name: 'xterm-256color',
  cols,
  rows,
  cwd: folder,
  env: {
    ...process.env,
    PS1: String.raw`\[\e]777;back\a\]\[\e[1;32m\]$\[\e[0m\] `,
    HISTFILE: '',
    LONGHAUL_CLI: cli,
  },
});

let clock = 0;
let last = performance.now();
let text = '';
let seen = 0;
const events = [];
let recording = false;
let wake = () => {};
shell.onData((data) => {
  text += data;
  if (recording) {
    const now = performance.now();
    clock += Math.min((now - last) / 1000, LONGEST_WAIT);
    last = now;
    events.push([Number(clock.toFixed(3)), 'o', data.replaceAll(BACK, '')]);
  }
  wake();
});

/** Until the shell asks again; what was printed meanwhile. */
async function back() {
  for (;;) {
    const at = text.indexOf(BACK, seen);
    if (at >= 0) {
      const printed = text.slice(seen, at);
      seen = at + BACK.length;
      return printed;
    }
    await new Promise((resolve) => (wake = resolve));
  }
}

async function type(line) {
  for (const key of line) {
    shell.write(key);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  shell.write('\r');
  return back();
}

/** Looked up beside the recording; undefined where a busy machine does not say in time. */
function phase(id) {
  try {
    return JSON.parse(execFileSync(process.execPath, [cli, 'show', id, '--json'], { encoding: 'utf8', stdio: 'pipe' }))
      .phase;
  } catch {
    return undefined;
  }
}

await back();
shell.write('longhaul() { node "$LONGHAUL_CLI" "$@"; }; clear\r');
await back();
recording = true;
last = performance.now();
shell.write('\r');
await back();
const task =
  'Write src/total.js with "export const total = (cart) => cart.length;". Slowly over 20 seconds. ' +
  'Say My worker was killed in the middle of this turn, and I go on in the same session. Run git status --short.';
const status = await type('longhaul status | head -5');
const pid = /worker\s+ready\s+(\d+)/.exec(status)?.[1] ?? '';
const id = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(await type(`longhaul submit --agent demo '${task}'`))?.[0] ?? '';
while (phase(id) !== 'working') await new Promise((resolve) => setTimeout(resolve, 100));
await type(`kill -9 ${pid}`);
await type(`longhaul watch ${id.slice(0, 8)}`);
await type(`longhaul diff ${id.slice(0, 8)}`);
shell.kill();

const header = { version: 2, width: cols, height: rows, timestamp: 0, env: { TERM: 'xterm-256color' } };
process.stdout.write([header, ...events].map((line) => JSON.stringify(line)).join('\n') + '\n');
process.exit(0);
