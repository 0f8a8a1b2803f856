/** What a second user of the machine gets to see of a home: a process with another uid and gid, in no group. Needs root. */
import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OTHER = { uid: 4242, gid: 4242 };

/** By the kernel's own decision: each thing is tried. */
export interface Seen {
  /** Paths of the home that can be listed, read or written. */
  readonly reachable: readonly string[];
  /** Of all processes of the machine, as `ps` shows them. */
  readonly commandLines: string;
  /** Of our processes, files of /proc that tell more than `ps`. */
  readonly opened: readonly string[];
  /** Our processes that would take a signal. */
  readonly signalled: readonly number[];
}

const PROBE = `
const fs = require('node:fs');
const { paths, pids } = JSON.parse(fs.readFileSync(0, 'utf8'));
const can = (work) => { try { work(); return true; } catch (error) {
  if (['EACCES', 'EPERM', 'ENOENT', 'ESRCH', 'ENXIO', 'EISDIR', 'ENOTDIR'].includes(error.code)) return false;
  throw error;
} };
const touch = (path) => {
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
  return can(() => fs.readdirSync(path + '/')) ||
    [O_RDONLY, O_WRONLY].some((flag) => can(() => fs.closeSync(fs.openSync(path, flag | O_NONBLOCK))));
};
const commandLines = fs.readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).map((pid) => {
  try { return fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8').replaceAll('\\0', ' '); } catch { return ''; }
});
const secretive = ['environ', 'maps', 'mem', 'fd/'];
const opened = pids.flatMap((pid) => secretive.map((name) => '/proc/' + pid + '/' + name)).filter((path) =>
  can(() => path.endsWith('/') ? fs.readdirSync(path) : fs.readFileSync(path)));
const signalled = pids.filter((pid) => can(() => process.kill(pid, 0)));
process.stdout.write(JSON.stringify({ reachable: paths.filter(touch), commandLines: commandLines.join('\\n'), opened, signalled }));
`;

export async function lookAsOtherUser(home: string): Promise<Seen> {
  const paths = [home, ...(await readdir(home, { recursive: true })).map((name) => path.join(home, name))];
  const pids = await processesOf(home);
  const running = run(process.execPath, ['-e', PROBE], { ...OTHER, cwd: '/', env: {}, maxBuffer: 64 * 1024 * 1024 });
  running.child.stdin?.end(JSON.stringify({ paths, pids }));
  return JSON.parse((await running).stdout) as Seen;
}

/** All that names the home in its arguments, environment or working directory: parts, runner, agents and their tools. */
export async function processesOf(home: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const ours = await Promise.all(
    pids.map(async (pid) => {
      const texts = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''),
        readlink(`/proc/${pid}/cwd`).catch(() => ''),
      ]);
      return Number(pid) !== process.pid && texts.some((text) => text.includes(home));
    }),
  );
  return pids.filter((_, index) => ours[index]).map(Number);
}

/** `address:port` of each TCP socket that these processes listen on. */
export async function listeners(pids: readonly number[]): Promise<string[]> {
  const inodes = new Set<string>();
  for (const pid of pids) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode) inodes.add(inode);
    }
  }
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  // proc_net_tcp(5): local address, state (0A: listens) and inode are fields 2, 4 and 10.
  return tables.flatMap((table) =>
    table.split('\n').flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const [address = '', port = ''] = fields[1]?.split(':') ?? [];
      return fields[3] === '0A' && inodes.has(fields[9] ?? '')
        ? [`${addressText(address)}:${Number.parseInt(port, 16)}`]
        : [];
    }),
  );
}

/** The kernel writes an IPv4 address as one little-endian number. */
const addressText = (hex: string): string =>
  hex.length === 8
    ? (hex.match(/../g) ?? [])
        .toReversed()
        .map((byte) => Number.parseInt(byte, 16))
        .join('.')
    : hex;
