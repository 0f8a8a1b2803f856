/** What a probe finds of agents that work, fail, hang or are not there. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { launchAcp } from '../../agents/launch/acp.ts';
import { makeAgentRegistry, type Launchers } from '../../agents/launch/registry.ts';
import { launchInTerminal } from '../../agents/launch/terminal.ts';
import { findByMark } from '../../processes/sweep.ts';
import { type ProbeRequest, probeAgent } from '../../agents/probe.ts';
import { modeRisk } from '../../agents/profiles/mode-risks.ts';
import { scriptedLaunch } from './lab.ts';
import type { ScriptedStart } from './scripted-agent.ts';

const folders: string[] = [];
/** In the environment of all processes of one test. */
const mark = `PROBE_TEST=${randomUUID()}`;
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  expect(findByMark([mark]), 'processes left by the probe').toEqual([]);
});

function request(rest: Partial<ProbeRequest> = {}): ProbeRequest {
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'longhaul-probe-')));
  folders.push(cwd);
  const env = { ...process.env, XDG_STATE_HOME: cwd, TZ: process.env['TZ'] };
  return { name: 'demo', path: 'acp', agent: { name: 'demo' }, cwd, env, timeoutMs: 60_000, signal: AbortSignal.timeout(120_000), ...rest }; // prettier-ignore
}

const marked = { env: { [mark.split('=')[0] ?? '']: mark.split('=')[1] ?? '' } };
const registry = makeAgentRegistry({
  acp: (of) => ({ ...launchAcp(of), ...marked }),
  pty: (of) => ({ ...launchInTerminal(of), ...marked }),
});
const scripted = (start: ScriptedStart): ReturnType<typeof makeAgentRegistry> => {
  const launchers: Launchers = { acp: () => scriptedLaunch(start, marked) };
  return makeAgentRegistry(launchers);
};

test('a probe of a working agent finds models with thinking options, modes with risks, and commands', async () => {
  const found = await probeAgent(registry, request());
  expect(found).toMatchObject({ status: 'ready', report: { stderr: '' } });
  if (found.status !== 'ready') return;
  const { offer } = found;
  const thinking = [
    { id: 'off', label: 'off', is_default: true },
    { id: 'on', label: 'on', is_default: false },
  ];
  expect(offer).toMatchObject({ label: 'Demo agent', auth: 'ok', accepts_any: [], thinking_options: [] });
  expect(offer.models).toEqual([
    { id: 'plain', label: 'plain', is_default: true, thinking_options: thinking },
    { id: 'loud', label: 'loud', is_default: false, thinking_options: thinking },
  ]);
  expect(offer.modes).toMatchObject([
    { id: 'edit', label: 'Edit', risk: 'moderate', is_default: true },
    { id: 'look', label: 'Look', risk: 'safe', is_default: false },
  ]);
  expect(offer.commands[0]).toEqual({
    name: 'write',
    description: 'write FILE with TEXT',
    argument_hint: null,
    source: 'agent',
  });
  expect(offer.capabilities).toEqual({ resume: true, images: false, login_methods: [] });
});

test('each model has its own thinking options if they differ', async () => {
  const option = (id: string, category: string, currentValue: string, values: string[]) => ({ id, name: id, category, type: 'select', currentValue, options: values.map((value) => ({ value, name: value })) }); // prettier-ignore
  const start = {
    newSession: { result: { configOptions: [option('model', 'model', 'small', ['small', 'large'])] } },
    setOption: { result: { configOptions: [option('model', 'model', 'large', ['small', 'large']), option('effort', 'thought_level', 'low', ['low', 'high'])] } }, // prettier-ignore
  };
  const found = await probeAgent(scripted(start), request());
  expect(found).toMatchObject({
    status: 'ready',
    offer: {
      models: [
        { id: 'small', is_default: true, thinking_options: [] },
        { id: 'large', is_default: false, thinking_options: [{ id: 'low', is_default: true }, { id: 'high' }] },
      ],
      commands: [],
    },
  });
});

test.each<[string, ScriptedStart, object]>([
  [
    'exits at once',
    { initialize: 'exit' },
    { code: 'agent_crashed', report: { exit_code: 3, stderr: expect.stringContaining('no configuration found') as string } }, // prettier-ignore
  ],
  [
    'needs a login',
    { newSession: { error: { code: -32000, message: 'Authentication required' } } },
    { code: 'agent_needs_login', auth: 'required' },
  ],
])('an agent that %s is an error with what to do', async (_how, start, expected) => {
  expect(await probeAgent(scripted(start), request())).toMatchObject({ status: 'error', ...expected });
});

test('an agent that hangs is ended at the bound', async () => {
  const found = await probeAgent(scripted({ newSession: 'hang' }), request({ timeoutMs: 2_000 }));
  expect(found).toMatchObject({ status: 'error', code: 'agent_start_timeout' });
});

test('an agent that is not installed is unavailable, with what to install', async () => {
  const of = request({ name: 'gemini', agent: { name: 'gemini' }, env: { PATH: '/nowhere' } });
  expect(await probeAgent(registry, of)).toMatchObject({
    status: 'unavailable',
    code: 'agent_not_installed',
    report: null,
    install_hint: 'Install it with: npm install -g @google/gemini-cli',
  });
});

test('an agent in a terminal is not started: its profile says what it offers', async () => {
  const of = request({ name: 'gemini', path: 'pty', agent: { name: 'gemini', installPath: '/bin/false' } });
  const found = await probeAgent(registry, of);
  expect(found).toMatchObject({
    status: 'ready',
    offer: { label: 'gemini', auth: 'unknown', accepts_any: ['model'], commands: [] },
  });
  const modes = found.status === 'ready' ? found.offer.modes : [];
  expect(Object.fromEntries(modes.map(({ id, risk }) => [id, risk]))).toMatchObject({
    auto_edit: 'moderate',
    default: 'safe',
    yolo: 'dangerous',
    plan: 'planning',
  });
});

test('a mode has the risk that its agent names, else the known one, else moderate; never safe by default', () => {
  expect(modeRisk('codex', 'read-only', 'dangerous')).toBe('dangerous');
  expect(modeRisk('codex', 'read-only', 'harmless')).toBe('safe');
  expect(modeRisk('mine', 'yolo', '')).toBe('dangerous');
  expect(modeRisk('mine', 'default', '')).toBe('moderate');
  expect(modeRisk('mine', 'constructor', '')).toBe('moderate');
});
