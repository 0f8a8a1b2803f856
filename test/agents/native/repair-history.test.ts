import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../../../agents/native/conversation.ts';
import { fitContext } from '../../../agents/native/fit-context.ts';
import { loadModel, type ProviderName } from '../../../agents/native/providers.ts';
import { repairHistory } from '../../../agents/native/repair-history.ts';
import { type ApiName, type Json, readAsked } from '../../lab/model-server/conversations.ts';
import { brokenRules, thoughtOf } from '../../lab/model-server/history-rules.ts';
import { errorBody, streamOf } from '../../lab/model-server/replies.ts';

const PROVIDERS: readonly (readonly [ProviderName, ApiName, string, number])[] = [
  ['local', 'chat', 'm', 1_000],
  ['openai', 'chat', 'gpt-4o', 200],
  ['anthropic', 'anthropic', 'claude-sonnet-4-5', 500],
  ['google', 'google', 'gemini-2.5-flash', 500],
];

const IDS = ['a', 'b', 'c', 'd', '', 'call:1', 'é'];
const text = fc.oneof(
  fc.constantFrom('', ' ', '\n', 'Fix the test.', 'x'.repeat(2_000), '\ud800', 'emoji 🎉'),
  fc.string({ maxLength: 30 }),
);
const input = fc.oneof(fc.constantFrom('{"path":"a"}', '', '{', '[1]', 'null', '"x"', '{"a":"\ud800"}'), fc.json());
const call = fc.record({
  id: fc.constantFrom(...IDS),
  name: fc.constantFrom('read', 'run', 'functions.run', '', '1x', 'ü', 'x'.repeat(100)),
  input,
});
const entry = (models: readonly string[]): fc.Arbitrary<Entry> =>
  fc.oneof(
    fc.record({ kind: fc.constant('user' as const), text }),
    fc.constantFrom(...models, 'other/x').chain((model) =>
      fc.record(
        {
          kind: fc.constant('assistant' as const),
          model: fc.constant(model),
          text,
          reasoning: fc.array(
            fc.constant({
              text: thoughtOf(model.slice(model.indexOf('/') + 1), 'hm'),
              metadata: { anthropic: { signature: 'sig' } } as never,
            }),
            { maxLength: 2 },
          ),
          calls: fc.array(call, { maxLength: 3 }),
          state: fc.constantFrom('failed' as const, 'streaming' as const),
        },
        { requiredKeys: ['kind', 'model', 'text', 'reasoning', 'calls'] },
      ),
    ),
    fc.record({ kind: fc.constant('result' as const), call: fc.constantFrom(...IDS), ok: fc.boolean(), output: text }),
  );

/** What is sent, as the provider's own package writes it. */
async function sent(provider: ProviderName, api: ApiName, model: string, entries: readonly Entry[]) {
  let asked: ReturnType<typeof readAsked> | undefined;
  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> => {
    asked = readAsked(api, String(url), JSON.parse(init?.body as string) as Json);
    const { begin, end } = streamOf(api, { say: 'ok' });
    const broken = brokenRules(asked);
    return broken.length > 0
      ? new Response(errorBody(api, { status: 400, message: broken.join('; ') }), { status: 400 })
      : new Response([...begin, ...end].join(''), { headers: { 'content-type': 'text/event-stream' } });
  };
  const settings = { name: provider, baseUrl: 'http://fake/v1', key: 'x' };
  const loaded = await loadModel(settings, model, fetch);
  const prompt = repairHistory(entries, `${provider}/${model}`);
  const { stream } = await loaded.doStream({ prompt: [{ role: 'system', content: 'You are a test.' }, ...prompt] });
  for await (const part of stream) if (part.type === 'error') throw part.error;
  return asked;
}

for (const [provider, api, model, histories] of PROVIDERS) {
  test(`${histories} random histories, as ${provider} gets them, violate no rule`, async () => {
    const names = PROVIDERS.map(([name, , id]) => `${name}/${id}`);
    await fc.assert(
      fc.asyncProperty(fc.array(entry(names), { maxLength: 14 }), fc.nat(3_000), async (entries, budget) => {
        await sent(provider, api, model, fitContext([...entries, { kind: 'user', text: 'Go on.' }], budget).entries);
      }),
      { numRuns: histories },
    );
  });
}

const USER: Entry = { kind: 'user', text: 'Fix it.' };
const said = (more: Partial<Extract<Entry, { kind: 'assistant' }>>): Entry => ({
  kind: 'assistant',
  model: 'local/m',
  text: '',
  reasoning: [],
  calls: [],
  ...more,
});
const READ = { id: 'a', name: 'read', input: '{"path":"x"}' };

test('a call without a result is removed at the end, and answered as interrupted elsewhere', () => {
  const atEnd = repairHistory([USER, said({ text: 'I look.', calls: [READ] })], 'local/m');
  expect(JSON.stringify(atEnd)).not.toContain('tool-call');
  const elsewhere = repairHistory([USER, said({ calls: [READ] }), { kind: 'user', text: 'And?' }], 'local/m');
  expect(elsewhere.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'user']);
  expect(JSON.stringify(elsewhere)).toContain('Interrupted: the outcome is unknown');
});

test('a valid history is sent unchanged', () => {
  const entries: Entry[] = [
    USER,
    said({ text: 'I look.', reasoning: [{ text: 'hm' }], calls: [READ] }),
    { kind: 'result', call: 'a', ok: true, output: 'content' },
    said({ text: 'Done.' }),
    { kind: 'user', text: 'Thanks.' },
  ];
  expect(repairHistory(entries, 'local/m')).toEqual([
    { role: 'user', content: [{ type: 'text', text: 'Fix it.' }] },
    {
      role: 'assistant',
      content: [
        { type: 'reasoning', text: 'hm' },
        { type: 'text', text: 'I look.' },
        { type: 'tool-call', toolCallId: 'a', toolName: 'read', input: { path: 'x' } },
      ],
    },
    { role: 'tool', content: [{ type: 'tool-result', toolCallId: 'a', toolName: 'read', output: { type: 'text', value: 'content' } }] }, // prettier-ignore
    { role: 'assistant', content: [{ type: 'text', text: 'Done.' }] },
    { role: 'user', content: [{ type: 'text', text: 'Thanks.' }] },
  ]);
});

test('reasoning of another model is dropped', () => {
  const entries: Entry[] = [
    USER,
    said({ text: 'Yes.', reasoning: [{ text: 'hm' }] }),
    { kind: 'user', text: 'Go on.' },
  ];
  expect(JSON.stringify(repairHistory(entries, 'local/m'))).toContain('hm');
  expect(JSON.stringify(repairHistory(entries, 'local/n'))).not.toContain('hm');
});
