/** How an agent comes to where it can be prompted, or does not. */
import { expect, test } from 'vitest';
import type { AgentSessionId } from '../../contract/ids.ts';
import { findMarked } from '../../agents/process/end.ts';
import { launchAcp } from '../../agents/launch/acp.ts';
import { makeAgentRegistry } from '../../agents/launch/registry.ts';
import { demoLaunch, failure, makeLab, PATIENT, scriptedLaunch, scriptedSession } from './lab.ts';
import type { ScriptedStart } from './scripted-agent.ts';
import { text } from './scripts.ts';

test.each<[string, ScriptedStart, string, RegExp]>([
  [
    'does not answer initialize',
    { initialize: 'hang' },
    'agent_start_timeout',
    /did not answer initialize\. Check that `.*` starts by hand and speaks ACP/,
  ],
  ['does not answer session/new', { newSession: 'hang' }, 'agent_start_timeout', /did not answer session\/new/],
  [
    'exits at once',
    { initialize: 'exit' },
    'agent_crashed',
    /exited with code 3 before it had a session\. .*no configuration found/,
  ],
  [
    'speaks another version',
    { initialize: { result: { protocolVersion: 9 } } },
    'agent_protocol_error',
    /expected ACP protocol version 1, the agent offers 9/,
  ],
  [
    'needs a login',
    { newSession: { error: { code: -32000, message: 'Authentication required', data: { details: 'run /login' } } } },
    'agent_needs_login',
    /Authentication required: run \/login.*Log in with a browser/,
  ],
  [
    'needs a login and says so in words only',
    { newSession: { error: { code: -32603, message: 'Internal error', data: { details: 'Please log in first' } } } },
    'agent_needs_login',
    /Please log in first/,
  ],
  [
    'cannot make a session',
    { newSession: { error: { code: -32603, message: 'boom' } } },
    'agent_protocol_error',
    /boom/,
  ],
  [
    'gives no session id',
    { newSession: { result: { sessionId: null } } },
    'agent_protocol_error',
    /without a session id/,
  ],
])('an agent that %s fails to start, says why, and is gone', async (_, start, code, message) => {
  const lab = makeLab();
  const timeouts = code === 'agent_start_timeout' ? { ...PATIENT, startMs: 5_000 } : PATIENT;
  const error = await failure(scriptedSession(lab, start, { timeouts }));
  expect(error).toMatchObject({ code });
  expect(error.message).toMatch(message);
  expect(findMarked(lab.taskId)).toEqual([]);
});

test.each([['exit'], ['hang']] as const)(
  'the error of an agent that one of our programs runs names that agent: initialize, %s',
  async (initialize) => {
    const launch = scriptedLaunch({ initialize }, { program: '/usr/bin/codex' });
    const error = await failure(makeLab().open(launch, { timeouts: { ...PATIENT, startMs: 5_000 } }));
    expect(error.message).toMatch(/Check that `\/usr\/bin\/codex` starts by hand[.;]/);
    expect(error.message).not.toContain(process.execPath);
  },
);

test('a program that does not exist is agent_not_installed, with the package to install', async () => {
  const error = await failure(
    makeLab().open(scriptedLaunch({}, { command: 'no-such-agent', installHint: 'Run: npm i it' })),
  );
  expect(error).toMatchObject({ code: 'agent_not_installed' });
  expect(error.message).toMatch(/no-such-agent is not a program.*npm i it/);
});

const OPTIONS = {
  modes: {
    currentModeId: 'ask',
    availableModes: [
      { id: 'ask', name: 'Ask' },
      { id: 'code', name: 'Code' },
    ],
  },
  configOptions: [
    {
      id: 'm',
      name: 'Model',
      category: 'model',
      type: 'select',
      currentValue: 'a',
      options: [{ group: 'g', name: 'G', options: [{ value: 'b', name: 'B' }] }],
    },
    {
      id: 'reasoning_effort',
      name: 'Effort',
      type: 'select',
      currentValue: 'low',
      options: [
        { value: 'low', name: 'L' },
        { value: 'high', name: 'H' },
      ],
    },
  ],
};

test('options are set by category, by id and by mode, and only where they change a value', async () => {
  const lab = makeLab();
  const agent = await lab.open(scriptedLaunch({ newSession: { result: OPTIONS } }));
  const session = await agent.newSession({ model: 'b', thinkingOptionId: 'high', modeId: 'ask' });
  await session.prompt(JSON.stringify([{ echo: 'received' }, { stop: 'end_turn' }]));
  const received = JSON.parse(lab.text()) as { method: string; params: object }[];
  expect(received.slice(2, -1)).toEqual([
    { method: 'session/set_config_option', params: { sessionId: 'scripted-session', configId: 'm', value: 'b' } },
    {
      method: 'session/set_config_option',
      params: { sessionId: 'scripted-session', configId: 'reasoning_effort', value: 'high' },
    },
  ]);
});

test.each([
  [{ model: 'c' }, /model "c"; it offers b/],
  [{ modeId: 'yolo' }, /mode "yolo"; it offers ask, code/],
  [{ thinkingOptionId: 'max' }, /thinking option "max"; it offers low, high/],
])(
  'an option that the agent does not offer %o is option_not_available; the message names the offered ones',
  async (choices, message) => {
    const agent = await makeLab().open(scriptedLaunch({ newSession: { result: OPTIONS } }));
    const error = await failure(agent.newSession(choices));
    expect(error).toMatchObject({ code: 'option_not_available' });
    expect(error.message).toMatch(message);
  },
);

test('the message says that an agent offers no options, and quotes an agent that refuses a mode', async () => {
  const plain = await makeLab().open(scriptedLaunch());
  expect((await failure(plain.newSession({ model: 'x' }))).message).toContain('it offers no choice of model');
  const setMode = { error: { code: -32603, message: 'mode is locked' } };
  const locked = await makeLab().open(scriptedLaunch({ newSession: { result: OPTIONS }, setMode }));
  expect((await failure(locked.newSession({ modeId: 'code' }))).message).toContain('mode is locked');
});

const SESSION = 'scripted-session' as string as AgentSessionId;
const REPLAY = [
  text('old words'),
  { sessionUpdate: 'tool_call', toolCallId: 't', title: 'Old', status: 'in_progress' },
];

test('session/load emits no event of the replay, and session/resume is preferred to it', async () => {
  const lab = makeLab();
  const loading = await lab.open(scriptedLaunch({ load: { replay: REPLAY } }));
  const session = await loading.resume?.load(SESSION, {});
  await session?.prompt(JSON.stringify([{ update: text('new words') }, { stop: 'end_turn' }]));
  expect(lab.events).toEqual([{ kind: 'text', text: 'new words' }]);

  const both = makeLab();
  const resuming = await both.open(scriptedLaunch({ load: { replay: REPLAY }, resume: {} }));
  const resumed = await resuming.resume?.load(SESSION, {});
  await resumed?.prompt(JSON.stringify([{ echo: 'received' }, { stop: 'end_turn' }]));
  expect(both.text()).toContain('session/resume');
  expect(both.text()).not.toContain('session/load');
});

test('a session that cannot be loaded is agent_session_lost; an agent that cannot load has no resume', async () => {
  const error = { code: -32603, message: 'No previous sessions found' };
  const agent = await makeLab().open(scriptedLaunch({ load: { error } }));
  const lost = await failure(agent.resume?.load(SESSION, {}) ?? Promise.resolve());
  expect(lost).toMatchObject({ code: 'agent_session_lost' });
  expect(lost.message).toContain('No previous sessions found');
  expect(await (await agent.newSession({})).prompt('[{"stop":"end_turn"}]')).toEqual({ kind: 'completed' });
  expect((await makeLab().open(scriptedLaunch())).resume).toBeUndefined();
});

test('after a failed load in the same process, the new session emits no event of the earlier one', async () => {
  const lab = makeLab();
  const error = { code: -32603, message: 'The session file is damaged' };
  // `early`: the agent continues to replay while the new session is made.
  const agent = await lab.open(scriptedLaunch({ load: { replay: REPLAY, error }, early: REPLAY }));
  expect(await failure(agent.resume?.load(SESSION, {}) ?? Promise.resolve())).toMatchObject({
    code: 'agent_session_lost',
  });
  const session = await agent.newSession({});
  await session.prompt(JSON.stringify([{ update: text('new words') }, { stop: 'end_turn' }]));
  expect(lab.events).toEqual([{ kind: 'text', text: 'new words' }]);
});

test('a failure in onSpawn leaves no process', async () => {
  const lab = makeLab();
  const onSpawn = () => Promise.reject(new Error('no database'));
  await expect(lab.open(scriptedLaunch(), { onSpawn })).rejects.toThrow('no database');
  expect(findMarked(lab.taskId)).toEqual([]);
});

test('a registry refuses a path without a launcher, and launches every other', () => {
  const registry = makeAgentRegistry({ acp: launchAcp });
  const refused = { code: 'not_supported_yet', message: expect.stringContaining('`longhaul agents`') as string };
  for (const path of ['pty', 'native'] as const) {
    expect(() => registry.requirePath(path, undefined)).toThrow(expect.objectContaining(refused));
    expect(() => registry.launch({ path, env: process.env })).toThrow(expect.objectContaining(refused));
  }
  expect(() => registry.requirePath('acp', 'demo')).not.toThrow();
  expect(registry.launch({ path: 'acp', agent: { name: 'demo' }, env: process.env })).toEqual(demoLaunch());
});

test('choices are made again in a session that is loaded, also where the agent has gone back to its default', async () => {
  const lab = makeLab();
  const modes = { currentModeId: 'default', availableModes: [{ id: 'default', name: 'Default' }, { id: 'plan', name: 'Plan' }] }; // prettier-ignore
  const agent = await lab.open(scriptedLaunch({ load: { result: { modes } } }));
  const session = await agent.resume?.load(SESSION, { modeId: 'plan' });
  expect(session?.offers().mode).toMatchObject({ current: 'plan' });
  await session?.prompt(JSON.stringify([{ echo: 'received' }, { stop: 'end_turn' }]));
  expect(lab.text()).toContain('"session/set_mode","params":{"sessionId":"scripted-session","modeId":"plan"}');
});

test('an agent that reports no settings of a session that it loads keeps what was chosen before', async () => {
  const agent = await makeLab().open(scriptedLaunch({ load: {} }));
  const session = await agent.resume?.load(SESSION, { model: 'm', modeId: 'plan', thinkingOptionId: 'high' });
  expect(session?.offers()).toEqual({ model: undefined, mode: undefined, thinking: undefined });
});
