import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { launchAcp } from '../../agents/launch/acp.ts';
import type { ListedAgent } from '../../agents/launch/launch.ts';
import { endTaskProcesses, findMarked } from '../../agents/process/end.ts';
import { endProcessGroup } from '../../processes/end.ts';
import { agentEnvironment } from '../../agents/process/environment.ts';
import { identify, isAlive } from '../../processes/identity.ts';
import { spawnAgent } from '../../agents/process/spawn.ts';
import { descendantsOf } from '../../processes/sweep.ts';
import type { TaskId } from '../../contract/ids.ts';
import { makeRepository } from '../lab/repositories.ts';
import { demoLaunch, failure, scriptedLaunch, until } from './lab.ts';

const newTask = (): TaskId => randomUUID() as string as TaskId;
const started: number[] = [];
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  for (const pid of started.splice(0)) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // ended by the test
    }
  }
});

async function sleeper(env: Record<string, string>, program = 'sleep', args = ['600']) {
  const child = spawn(program, args, { detached: true, stdio: 'ignore', env: { PATH: process.env['PATH'], ...env } });
  await once(child, 'spawn');
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error('it ended at once');
  started.push(identity.pid);
  return { child, identity };
}

const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8');

test('a pid that now belongs to another process is not signalled', async () => {
  const { identity } = await sleeper({});
  await endProcessGroup({ ...identity, startTime: `${Number(identity.startTime) - 1}` }, 2_000);
  await endTaskProcesses(newTask(), { leader: { ...identity, bootId: 'another boot' } });
  expect(isAlive(identity)).toBe(true);
  await endProcessGroup(identity, 2_000);
  expect(isAlive(identity)).toBe(false);
});

test('one home ends no process of another home, also if a copy has the same task and its rows name the same agent', async () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'longhaul-homes-')));
  folders.push(root);
  const homes = ['original', 'copy'].map((name) => join(root, name));
  const task = newTask();
  const agents = await Promise.all(
    homes.map((home, index) => {
      mkdirSync(home);
      const env = { LONGHAUL_HOME: home };
      return sleeper(agentEnvironment({ env, launch: { envKeys: [], env: {} }, taskId: task, spawnId: String(index) }));
    }),
  );
  const [original, copy] = agents.map(({ identity }) => identity);
  if (original === undefined || copy === undefined) throw new TypeError('two agents');
  expect(await endTaskProcesses(task, { home: homes[1], leader: original })).toBe(0);
  expect([original, copy].map((agent) => isAlive(agent))).toEqual([true, false]);
  // The same home by another path, and a new folder at its former one.
  renameSync(join(root, 'original'), join(root, 'moved'));
  mkdirSync(join(root, 'original'));
  await endTaskProcesses(task, { home: homes[0], leader: original });
  expect(isAlive(original)).toBe(true);
  await endTaskProcesses(task, { home: join(root, 'moved') });
  expect(isAlive(original)).toBe(false);
});

test("agents of an earlier version, whose environment has only the home's path, are distinguished by it", async () => {
  const task = newTask();
  const { identity } = await sleeper({ LONGHAUL_TASK: task, LONGHAUL_TASK_HOME: tmpdir() });
  await endTaskProcesses(task, { home: '/another/home', leader: identity });
  expect(isAlive(identity)).toBe(true);
  await endTaskProcesses(task, { home: tmpdir() });
  expect(isAlive(identity)).toBe(false);
});

test('a group that ignores SIGTERM is killed after the grace', async () => {
  const code = `process.on('SIGTERM', () => console.log('no')); setInterval(() => {}, 1000); console.log('ready')`;
  const child = spawn(process.execPath, ['-e', code], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  started.push(child.pid ?? 0);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until('its handler', () => said === 'ready\n');
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error('it ended at once');
  await endProcessGroup(identity, 200);
  expect(isAlive(identity)).toBe(false);
  expect(said).toBe('ready\nno\n');
});

test("the sweep ends exactly the processes with this task's marker, and never its own process", async () => {
  const [task, other] = [newTask(), newTask()];
  const marked = await sleeper({ LONGHAUL_TASK: task });
  const spared = [
    await sleeper({ LONGHAUL_TASK: other }),
    await sleeper({ LONGHAUL_TASK: `${task}0` }),
    await sleeper({ OTHER_LONGHAUL_TASK: task }),
    await sleeper({ NOTE: `LONGHAUL_TASK=${task}` }),
  ];
  expect(findMarked(task).map(({ pid }) => pid)).toEqual([marked.identity.pid]);
  expect(await endTaskProcesses(task)).toBe(0);
  expect(isAlive(marked.identity)).toBe(false);
  expect(spared.every(({ identity }) => isAlive(identity))).toBe(true);
});

test('the sweep does not end its own process, even if that carries the marker', async () => {
  const task = newTask();
  const url = new URL('../../agents/process/end.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(url)}).then(async (m) => console.log('left', await m.endTaskProcesses(process.env.LONGHAUL_TASK)))`;
  const [flag = '', loader = ''] = demoLaunch().args;
  const child = spawn(process.execPath, [flag, loader, '-e', code], { env: { ...process.env, LONGHAUL_TASK: task } });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [exitCode] = (await once(child, 'close')) as [number];
  expect({ exitCode, output }).toEqual({ exitCode: 0, output: 'left 0\n' });
});

test('a git process that is swept while it works leaves no lock', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-process-'));
  folders.push(folder);
  const repository = await makeRepository(join(folder, 'project'));
  await repository.write({ '.git/hooks/pre-commit': { mode: 0o755, content: '#!/bin/sh\nsleep 600\n' } });
  const task = newTask();
  const commit = ['-C', repository.path, '-c', 'user.name=S', '-c', 'user.email=s@example.test', 'commit', '-qam', 'a'];
  await repository.write({ 'README.md': 'another text' });
  const { identity } = await sleeper({ LONGHAUL_TASK: task }, 'git', commit);
  const lock = join(repository.path, '.git', 'index.lock');
  await until('the hook', () => existsSync(lock) && findMarked(task).length > 2);
  expect(await endTaskProcesses(task)).toBe(0);
  expect(isAlive(identity)).toBe(false);
  expect(existsSync(lock)).toBe(false);
});

test('processes that fork while they are swept are all found', async () => {
  const task = newTask();
  const forker = 'i=0; while [ $i -lt 40 ]; do setsid sleep 600 & i=$((i+1)); sleep 0.02; done; wait';
  await sleeper({ LONGHAUL_TASK: task }, 'sh', ['-c', forker]);
  await until('some children', () => findMarked(task).length > 5);
  expect(await endTaskProcesses(task)).toBe(0);
  expect(findMarked(task)).toEqual([]);
});

test('a tool that was started without an environment is ended with its parents, whichever process started them', async () => {
  const bare = `env -i /bin/sh -c 'exec setsid sleep 600' & wait`;
  const task = newTask();
  const leader = await sleeper({}, 'sh', ['-c', bare]);
  const marked = await sleeper({ LONGHAUL_TASK: task }, 'sh', ['-c', bare]);
  const below = () => descendantsOf([leader.identity, marked.identity]);
  await until('both tools', () => below().length === 2);
  const tools = below();
  expect(await endTaskProcesses(task, { leader: leader.identity })).toBe(0);
  expect([leader.identity, marked.identity, ...tools].map((one) => isAlive(one))).toEqual([false, false, false, false]);
});

test('a tool without an environment whose parents have exited is found if an earlier check saw it with them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-family-'));
  folders.push(folder);
  const tool = `env -i /bin/sh -c 'echo $$ > ${folder}/pid; exec setsid sleep 600'`;
  const agent = await spawnAgent({
    launch: scriptedLaunch(
      {},
      { command: 'sh', args: ['-c', `read -r line; ( ${tool} & read -r line ); read -r line`] },
    ),
    taskId: newTask(),
    cwd: folder,
    env: process.env,
  });
  agent.stdin.write('the tool begins, after the look at the start\n');
  const pid = (): number => Number(existsSync(join(folder, 'pid')) && readFileSync(join(folder, 'pid'), 'utf8'));
  await until('the tool', () => pid() > 0 && commandOf(pid()).startsWith('sleep'));
  const stray = identify(pid());
  if (stray === undefined) throw new Error('it ended at once');
  started.push(stray.pid);
  agent.recordDescendants();
  agent.stdin.write('its parent ends\n');
  await until('the tool to be an orphan', () => !descendantsOf([agent.identity]).some((one) => one.pid === stray.pid));
  await agent.end();
  expect(isAlive(stray)).toBe(false);
});

test("an agent's environment has the allowlist, its own keys and the markers, never the database or Temporal", () => {
  const passed = {
    PATH: '/bin',
    HOME: '/h',
    LC_ALL: 'C',
    XDG_DATA_HOME: '/x',
    HTTPS_PROXY: 'p',
    no_proxy: 'n',
    SSL_CERT_FILE: 'c',
    OPENAI_API_KEY: 'key',
    OPENAI_BASE: 'base',
  };
  const kept = {
    DATABASE_URL: 'secret',
    TEMPORAL_API_KEY: 'secret',
    LONGHAUL_HOME: '/home/of/tasks',
    LONGHAUL_TASK: 'outer',
    AWS_SECRET: 'secret',
    PATHS: 'no',
    NODE_OPTIONS: '--inspect',
  };
  const env = { ...passed, ...kept };
  const taskId = newTask();
  const seen = agentEnvironment({ env, launch: { envKeys: ['OPENAI_*'], env: { SET: '1' } }, taskId, spawnId: 's' });
  expect(seen).toEqual({
    ...passed,
    SET: '1',
    LONGHAUL_TASK: taskId,
    LONGHAUL_SPAWN: 's',
    LONGHAUL_TASK_HOME: '/home/of/tasks',
  });
  const greedy = { envKeys: ['*'], env: { TEMPORAL_ADDRESS: 'x', DATABASE_URL: 'x' } };
  const names = Object.keys(agentEnvironment({ env, launch: greedy, taskId, spawnId: 's' }));
  expect(names.filter((name) => /^(DATABASE_URL|TEMPORAL_|LONGHAUL_)/.test(name))).toEqual([
    'LONGHAUL_TASK',
    'LONGHAUL_SPAWN',
    'LONGHAUL_TASK_HOME',
  ]);
  expect(names).toContain('AWS_SECRET');
});

test('much output on stderr does not block an agent, and the last part is kept', async () => {
  const code = `process.stderr.write('first ' + 'x'.repeat(300000) + ' last'); setTimeout(() => process.exit(4), 50)`;
  const launch = scriptedLaunch({}, { args: ['-e', code] });
  const agent = await spawnAgent({ launch, taskId: newTask(), cwd: tmpdir(), env: process.env });
  expect(await agent.exited).toEqual({ code: 4, signal: null });
  await agent.end();
  expect(agent.stderrTail()).toHaveLength(64 * 1024);
  expect(agent.stderrTail().endsWith(' last')).toBe(true);
});

test('a listed agent has its profile and its install path; an unknown one only its install path', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-bin-'));
  folders.push(folder);
  for (const name of ['gemini', 'my-agent']) {
    writeFileSync(join(folder, name), '#!/bin/sh\n');
    chmodSync(join(folder, name), 0o755);
  }
  const env = { PATH: folder };
  const launch = (agent: ListedAgent) => launchAcp({ path: 'acp', agent, env });
  expect(launch({ name: 'gemini' })).toMatchObject({
    command: join(folder, 'gemini'),
    args: ['--acp', '--skip-trust'],
    offersFileSystem: false,
  });
  const path = join(folder, 'my-agent');
  expect(launch({ name: 'gemini', installPath: path }).command).toBe(path);
  expect(launch({ name: 'mine', installPath: 'my-agent' })).toMatchObject({
    name: 'mine',
    command: path,
    args: [],
    envKeys: [],
  });
  expect(launch({ name: 'demo', installPath: null }).command).toBe(process.execPath);
  const missing = failure(Promise.resolve().then(() => launch({ name: 'codex' })));
  expect(await missing).toMatchObject({ code: 'agent_not_installed' });
  expect((await missing).message).toContain('npm install -g @agentclientprotocol/codex-acp');
  const removed = { name: 'mine', installPath: join(folder, 'removed') };
  expect(() => launch(removed)).toThrow(/removed is not a program/);
});
