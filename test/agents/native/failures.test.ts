import { expect, test } from 'vitest';
import { inOrder } from '../../lab/model-server/model-server.ts';
import type { Reply } from '../../lab/model-server/replies.ts';
import { nativeLab } from './lab.ts';

const OUTAGE = { status: 503, message: 'overloaded' };

test.each<[string, Reply, string]>([
  ['503', OUTAGE, 'provider answered 503'],
  ['a stream without a finish reason', { say: 'Half an', end: 'none' }, 'without a finish reason'],
  ['a connection that breaks', { say: 'Half an', end: 'cut' }, 'repeated in'],
  ['an empty reply', {}, 'no text and no tool call'],
])('after %s the model is asked again', async (_title, bad, words) => {
  const lab = await nativeLab(inOrder(bad, { say: 'A whole answer.' }));
  const { session } = await lab.begin();
  expect(await session.prompt('Go')).toMatchObject({ kind: 'completed' });
  expect(lab.text()).toContain('A whole answer.');
  const thoughts = lab.events.map((event) => (event.kind === 'reasoning' ? event.text : '')).join('');
  expect(thoughts).toContain(words);
});

test('a provider that stays unavailable fails the turn as retryable for the client', async () => {
  const lab = await nativeLab(() => OUTAGE);
  const { session } = await lab.begin();
  expect(await session.prompt('Go')).toMatchObject({ kind: 'failed', code: 'llm_unavailable' });
  expect(lab.model.requests).toHaveLength(4);
});

test.each<[string, 'chat' | 'anthropic' | 'google', Reply]>([
  ['a header', 'chat', { status: 429, message: 'Rate limit reached', headers: { 'retry-after': '3600' } }],
  ['words', 'anthropic', { status: 429, message: 'This request would exceed your limit. Please try again in 1 hour', code: 'rate_limit_error' }], // prettier-ignore
  [
    'a body',
    'google',
    { status: 429, message: 'Resource exhausted. Please retry in 3600s.', code: 'RESOURCE_EXHAUSTED' },
  ],
])('a limit carries the time at which it is lifted, by %s, and is not asked again', async (_title, api, reply) => {
  const lab = await nativeLab(() => reply, api);
  const { session } = await lab.begin();
  const end = await session.prompt('Go');
  expect(end).toMatchObject({ kind: 'failed', code: 'usage_limit', resetsAt: expect.any(Date) });
  const seconds = end.kind === 'failed' && end.resetsAt ? (end.resetsAt.getTime() - Date.now()) / 1_000 : 0;
  expect(seconds).toBeGreaterThan(3_400);
  expect(seconds).toBeLessThan(3_800);
  expect(lab.model.requests).toHaveLength(1);
});

test.each<[string, Reply, string, RegExp]>([
  ['401', { status: 401, message: 'Incorrect API key provided' }, 'agent_needs_login', /Incorrect API key/],
  ['400', { status: 400, message: 'unknown parameter' }, 'llm_error', /Inference failed: .*unknown parameter/],
  ['404', { status: 404, message: 'no such model' }, 'llm_error', /no such model/],
])('%s is final, with a sentence', async (_title, reply, code, sentence) => {
  const lab = await nativeLab(() => reply);
  const { session } = await lab.begin();
  expect(await session.prompt('Go')).toMatchObject({ kind: 'failed', code, message: expect.stringMatching(sentence) });
  expect(lab.model.requests).toHaveLength(1);
});

test('a context that is too long is shortened once, then the turn ends with a message', async () => {
  const lab = await nativeLab(() => ({ status: 400, message: "This model's maximum context length is 10 tokens" }));
  const { session } = await lab.begin();
  const end = await session.prompt('Go');
  expect(end).toMatchObject({
    kind: 'failed',
    code: 'llm_error',
    message: expect.stringMatching(/longer than the context/),
  });
  expect(lab.model.requests).toHaveLength(2);
});

test.each<[Reply, string]>([
  [{ say: 'Half', end: 'length' }, 'turn_limit'],
  [{ say: 'No', end: 'refusal' }, 'agent_refused'],
])('a reply that ends as %j ends the turn as %s', async (reply, code) => {
  const lab = await nativeLab(() => reply, 'anthropic');
  const { session } = await lab.begin();
  expect(await session.prompt('Go')).toMatchObject({ kind: 'failed', code });
});

test('without a model the message names the settings', async () => {
  const lab = await nativeLab(inOrder());
  for (const [env, sentence] of [
    [{ LONGHAUL_LOCAL_MODEL_URL: undefined, DEFAULT_MODEL: undefined }, /No model is configured\. Set DEFAULT_MODEL/],
    [{ LONGHAUL_LOCAL_MODEL_URL: undefined, DEFAULT_MODEL: 'openai/gpt-5' }, /Set OPENAI_API_KEY/],
  ] as const) {
    const { session } = await lab.begin({}, {}, env);
    const end = await session.prompt('Go');
    expect(end).toMatchObject({ kind: 'failed', code: 'agent_needs_login', message: expect.stringMatching(sentence) });
  }
});
