/** One turn with a scripted agent, which follows its script, right or wrong. */
import { expect, test } from 'vitest';
import { decideByPolicy } from '../../agents/permission-policy.ts';
import { failure, makeLab, scriptedLaunch, scriptedSession } from './lab.ts';
import { text, block, permission, ALLOW_ONCE, ALLOW_ALWAYS, REJECT } from './scripts.ts';

test.each([
  ['end_turn', { kind: 'completed' }],
  ['refusal', { kind: 'failed', code: 'agent_refused' }],
  ['max_tokens', { kind: 'failed', code: 'turn_limit' }],
  ['max_turn_requests', { kind: 'failed', code: 'turn_limit' }],
  ['cancelled', { kind: 'failed', code: 'agent_refused' }],
  ['new_reason', { kind: 'failed', code: 'agent_protocol_error' }],
])('stop reason %s ends the turn with the right outcome', async (stop, end) => {
  const { play } = await scriptedSession(makeLab());
  expect(await play({ stop })).toMatchObject(end);
});

test('the usage of a prompt is reported with its end', async () => {
  const { play } = await scriptedSession(makeLab());
  const usage = { inputTokens: 3, outputTokens: 4, totalTokens: 7, thoughtTokens: null };
  expect(await play({ stop: 'end_turn', usage })).toEqual({
    kind: 'completed',
    usage: { input_tokens: 3, output_tokens: 4, total_tokens: 7 },
  });
});

test('each kind of update becomes its event, and unknown kinds are counted', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab, {
    early: [
      {
        sessionUpdate: 'available_commands_update',
        availableCommands: [{ name: 'init', description: 'Begin', input: null }],
      },
    ],
  });
  await play(
    { update: text('a') },
    { update: { ...text('of a message'), messageId: 'm1' } },
    { update: block({ type: 'resource_link', name: 'spec', uri: 'file:///spec.md' }) },
    { update: block({ type: 'image', mimeType: 'image/png', data: 'AAAA' }) },
    { update: block({ type: 'resource', resource: { uri: 'file:///b', blob: 'AA' } }) },
    {
      update: { sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text: 'hm' }, extra: { new: 'field' } },
    },
    { update: { sessionUpdate: 'user_message_chunk', content: { type: 'text', text: 'echo' } } },
    { update: { sessionUpdate: 'plan', entries: [{ content: 'one', priority: 'high', status: 'pending' }] } },
    { update: { sessionUpdate: 'current_mode_update', currentModeId: 'yolo' } },
    { update: { sessionUpdate: 'usage_update', used: 10, size: 100, cost: { amount: 0.5, currency: 'EUR' } } },
    { update: { sessionUpdate: 'session_info_update', title: 'A title' } },
    { update: { sessionUpdate: 'config_option_update', configOptions: [] } },
    { update: { sessionUpdate: 'notice', severity: 'warning', title: 'Careful', description: 'now' } },
    { update: { sessionUpdate: 'hologram', content: 1 } },
    { update: { sessionUpdate: 'hologram' } },
    { update: text('of another session'), sessionId: 'sub-agent' },
    { raw: '{"jsonrpc":"2.0","method":"_vendor/thing","params":{}}\n' },
    { afterResult: text(' and later') },
    { stop: 'end_turn' },
  );
  expect(lab.events).toEqual([
    { kind: 'commands', commands: [{ name: 'init', description: 'Begin' }] },
    { kind: 'text', text: 'a' },
    { kind: 'text', text: 'of a message', messageId: 'm1' },
    { kind: 'text', text: '[spec](file:///spec.md)' },
    { kind: 'text', text: '[image image/png]' },
    { kind: 'text', text: '[resource file:///b]' },
    { kind: 'reasoning', text: 'hm' },
    { kind: 'plan', entries: [{ content: 'one', priority: 'high', status: 'pending' }] },
    { kind: 'note', text: 'Mode: yolo' },
    { kind: 'usage', usage: { context_used: 10, context_size: 100, cost: { amount: 0.5, currency: 'EUR' } } },
    { kind: 'note', text: 'Title: A title' },
    { kind: 'warning', message: 'Careful: now' },
    { kind: 'text', text: ' and later' },
    { kind: 'note', text: 'Updates of kinds that Longhaul does not know: hologram × 2' },
  ]);
});

test('tool call updates become complete snapshots, also without an earlier call, and an open call is closed', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab);
  await play(
    {
      update: {
        sessionUpdate: 'tool_call',
        toolCallId: 'a',
        title: 'Edit',
        kind: 'edit',
        status: 'pending',
        rawInput: { n: 1 },
      },
    },
    {
      update: {
        sessionUpdate: 'tool_call_update',
        toolCallId: 'a',
        status: 'completed',
        content: [{ type: 'diff', path: '/f', oldText: null, newText: 'x' }],
      },
    },
    {
      update: {
        sessionUpdate: 'tool_call_update',
        toolCallId: 'b',
        status: 'in_progress',
        locations: [{ path: '/f', line: 3 }],
      },
    },
    { stop: 'end_turn' },
  );
  const base = { locations: [], content: [] };
  const edit = { ...base, tool_call_id: 'a', title: 'Edit', kind: 'edit', raw_input: { n: 1 } };
  const other = { ...base, tool_call_id: 'b', title: 'Tool call', kind: 'other', locations: [{ path: '/f', line: 3 }] };
  expect(lab.events.map((event) => (event.kind === 'tool_call' ? event.call : event))).toEqual([
    { ...edit, status: 'pending' },
    { ...edit, status: 'completed', content: [{ type: 'diff', path: '/f', new_text: 'x' }] },
    { ...other, status: 'in_progress' },
    { ...other, status: 'failed' },
  ]);
});

test('garbage, half characters, CR LF, NUL and lone surrogates on stdout do not stop a turn', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab, { initialize: 'garbage-first' });
  const line = (words: string) =>
    `${JSON.stringify({ jsonrpc: '2.0', method: 'session/update', params: { sessionId: 'scripted-session', update: text(words) } })}\r\n`;
  const bytes = Buffer.from(line('smile 😀'));
  const cut = bytes.indexOf(0xf0) + 2; // in the middle of the character
  await play(
    { raw: 'DEBUG something\r\n\r\n' },
    { rawBase64: [bytes.subarray(0, cut).toString('base64'), bytes.subarray(cut).toString('base64')] },
    { raw: line('raw NUL: ~').replace('~', '\0') },
    {
      raw: line('escaped: ~~')
        .replace('~', String.raw`\u0000`)
        .replace('~', String.raw`\ud800`),
    },
    { raw: `no newline before ${line('message')}` },
    { stop: 'end_turn' },
  );
  expect(lab.text()).toBe('smile 😀raw NUL: \uFFFDescaped: \uFFFD\uFFFDmessage');
});

test.each([
  [{ code: -32603, message: 'Internal error', data: { details: '400 no such model' } }, 'llm_error', /no such model/],
  [{ code: -32603, message: 'Internal error', data: { details: 'model overloaded' } }, 'llm_unavailable', /overloaded/],
  [
    { code: -32603, message: 'fetch failed: read ECONNRESET' },
    'llm_unavailable',
    /provider is unavailable: fetch failed/,
  ],
  [
    { code: -32603, message: "Internal error: You've hit your limit · resets 3pm" },
    'usage_limit',
    /a limit .*: You've/,
  ],
  [{ code: -32603, message: 'You have hit your usage limit' }, 'usage_limit', /usage limit/],
  [{ code: -32000, message: 'Authentication required' }, 'agent_needs_login', /Authentication/],
])("an error response to the prompt %# is reported with the agent's message", async (error, code, message) => {
  const { play } = await scriptedSession(makeLab());
  const end = await play({ error });
  expect(end).toMatchObject({ kind: 'failed', code, message: expect.stringMatching(message) as string });
});

test('a limit has the time at which it is lifted, wherever the message contains it', async () => {
  const { play } = await scriptedSession(makeLab());
  const at = new Date('2030-01-01T00:00:00Z');
  const epoch = at.getTime() / 1_000;
  const body = {
    error: { type: 'usage_limit_reached', message: 'The usage limit has been reached', resets_at: epoch },
  };
  const long = `429 ${'too many requests '.repeat(40)} ${JSON.stringify(body)}`;
  const error = { code: -32603, message: 'Internal error' };
  for (const data of [body, { details: JSON.stringify(body) }, long]) {
    expect(await play({ error: { ...error, data } })).toMatchObject({
      kind: 'failed',
      code: 'usage_limit',
      resetsAt: at,
    });
  }
  const bare = await play({ error: { ...error, data: '429 too many requests' } });
  expect(bare).toMatchObject({ code: 'usage_limit' });
  expect(bare).not.toHaveProperty('resetsAt');
  const codex = { update: { ...text(''), _meta: { codex: { threadStatus: { type: 'systemError' } } } } };
  const said = `You've hit your usage limit. Try again at Jan 1st, 2030 12:00 AM.`;
  expect(await play(codex, { update: text(said) }, { stop: 'end_turn' })).toMatchObject({
    code: 'usage_limit',
    resetsAt: new Date(2030, 0, 1),
  });
});

test('permissions are answered by kind, unknown kinds are omitted, and the answer reaches the agent', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab);
  const odd = { optionId: 'w', name: 'Ask a friend', kind: 'delegate' };
  await play(permission(odd, REJECT, ALLOW_ALWAYS, ALLOW_ONCE), permission(odd), { stop: 'end_turn' });
  expect(lab.text()).toBe('{"outcome":{"outcome":"selected","optionId":"x"}}{"outcome":{"outcome":"cancelled"}}');
  expect(lab.asks[0]).toMatchObject({
    toolCall: { tool_call_id: 'p', title: 'Remove it', kind: 'delete', status: 'pending' },
    options: [{ kind: 'reject_once' }, { kind: 'allow_always' }, { kind: 'allow_once', option_id: 'x' }],
  });
  expect(lab.events[0]).toMatchObject({ kind: 'tool_call', call: { title: 'Remove it' } });
});

test('a turn that the agent cancels after a denied permission fails, and the message names what was denied', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab, {}, { onPermission: async (ask) => decideByPolicy('deny', ask) });
  const end = await play(permission(ALLOW_ONCE, REJECT), { stop: 'cancelled' });
  expect(end).toMatchObject({
    kind: 'failed',
    code: 'agent_refused',
    message: expect.stringContaining('"Remove it" was not allowed') as string,
  });
});

test('a permission request that cannot be stored fails the turn with that error', async () => {
  const { play } = await scriptedSession(
    makeLab(),
    {},
    { onPermission: () => Promise.reject(new Error('no database')) },
  );
  expect((await failure(play(permission(REJECT), { hang: true }))).message).toContain('no database');
});

test('unknown requests get -32601, and file requests are served although they are not offered', async () => {
  const lab = makeLab();
  const launch = scriptedLaunch({}, { offersFileSystem: false });
  const { play } = await scriptedSession(lab, {}, { launch });
  const path = `${lab.cwd}/new/file.txt`;
  await play(
    { ask: 'terminal/create', params: { command: 'ls' } },
    { ask: '_vendor/ask', params: {} },
    { ask: 'fs/write_text_file', params: { sessionId: 's', path, content: 'a\nb\nc\n' } },
    { ask: 'fs/read_text_file', params: { sessionId: 's', path, line: 2, limit: 1 } },
    { ask: 'fs/read_text_file', params: { sessionId: 's', path: `${lab.cwd}/none` } },
    { ask: 'fs/write_text_file', params: { sessionId: 's', path: '/tmp/elsewhere', content: 'x' } },
    { echo: 'received' },
    { stop: 'end_turn' },
  );
  const said = lab.text();
  expect(said.match(/-32601/g)).toHaveLength(2);
  expect(said).toContain('{}{"content":"b\\n"}');
  expect(said).toMatch(/"code":-32002,"message":"Resource not found: ENOENT/);
  expect(said).toMatch(/"code":-32602,"message":"Refused: \/tmp\/elsewhere is outside/);
  expect(said).toContain('"fs":{"readTextFile":false,"writeTextFile":false},"terminal":false');
});
