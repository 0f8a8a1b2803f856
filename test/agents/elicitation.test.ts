/** Questions of an agent that are no permissions: `elicitation/create` of ACP, with a form and with an address. */
import { expect, test } from 'vitest';
import { readElicitation } from '../../agents/acp/elicitation.ts';
import type { ElicitationAsk, OpenAgent } from '../../agents/driver.ts';
import { deferred } from '../../contract/promises.ts';
import { makeLab, scriptedSession } from './lab.ts';
import { FORM, VISIT } from './scripts.ts';

const stop = { stop: 'end_turn' } as const;

test('the form reaches the client with its fields in order, and the answer reaches the agent', async () => {
  const lab = makeLab();
  const asks: ElicitationAsk[] = [];
  const onElicitation: OpenAgent['onElicitation'] = async (ask) => {
    asks.push(ask);
    return { action: 'accept', content: { name: 'Ada', size: 2 } };
  };
  const { play } = await scriptedSession(lab, {}, { onElicitation });
  expect(await play(FORM, stop)).toMatchObject({ kind: 'completed' });
  expect(lab.text()).toBe('{"action":"accept","content":{"name":"Ada","size":2}}');
  expect(asks).toMatchObject([
    {
      toolCall: undefined,
      elicitation: {
        mode: 'form',
        message: 'Which service?',
        fields: [
          { name: 'name', type: 'string', title: 'Name', required: true, max_length: 20 },
          { name: 'size', type: 'integer', required: false, minimum: 1, maximum: 9, default: 3 },
          { name: 'region', type: 'string', required: false, choices: [{ value: 'eu', title: 'Europe' }, { value: 'us', title: 'us' }] }, // prettier-ignore
        ],
      },
    },
  ]);
  expect(asks[0]?.elicitation).toHaveProperty('fields.0', { name: 'name', type: 'string', title: 'Name', required: true, max_length: 20 }); // prettier-ignore
});

test('the address reaches the client, and a refusal reaches the agent', async () => {
  const lab = makeLab();
  const asks: ElicitationAsk[] = [];
  const onElicitation: OpenAgent['onElicitation'] = async (ask) => {
    asks.push(ask);
    return { action: 'decline' };
  };
  const { play } = await scriptedSession(lab, {}, { onElicitation });
  await play(VISIT, stop);
  expect(lab.text()).toBe('{"action":"decline"}');
  expect(asks).toMatchObject([{ elicitation: { mode: 'url', message: 'Log in', url: 'https://example.org/login' } }]);
});

test.each([
  [true, { elicitation: { form: {}, url: {} } }],
  [false, {}],
])('the agent learns whether it may ask (%j)', async (offersElicitation, expected) => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab, {}, { offersElicitation });
  await play({ echo: 'received' }, stop);
  const received = JSON.parse(lab.text()) as { method: string; params: { clientCapabilities: object } }[];
  const capabilities = received.find(({ method }) => method === 'initialize')?.params.clientCapabilities;
  expect(capabilities).toEqual({ fs: expect.anything() as object, terminal: false, ...expected });
});

test('a client without a person cancels the question, and so does a stop', async () => {
  const lab = makeLab();
  const { play } = await scriptedSession(lab, {});
  await play(FORM, stop);
  expect(lab.text()).toBe('{"action":"cancel"}');

  const stopped = makeLab();
  const asked = deferred<undefined>();
  const onElicitation: OpenAgent['onElicitation'] = () => {
    asked.resolve(undefined);
    return new Promise(() => {});
  };
  const session = await scriptedSession(stopped, { ignoreCancel: true }, { onElicitation });
  const end = session.play(FORM, stop);
  await asked.promise;
  stopped.stop.abort();
  expect(await end).toEqual({ kind: 'stopped' });
  expect(stopped.text()).toBe('{"action":"cancel"}');
});

test('a question that the client cannot ask gets the error -32602 with the reason, and the turn continues', async () => {
  const lab = makeLab();
  const ask = (params: object) => ({ ask: 'elicitation/create', params: { sessionId: 'scripted-session', message: 'm', ...params } }); // prettier-ignore
  const { play } = await scriptedSession(lab, {});
  const wrong = [{ mode: 'dance' }, { mode: 'url', url: 'javascript:alert(1)' }, { mode: 'form' }].map(ask);
  expect(await play(...wrong, stop)).toMatchObject({ kind: 'completed' });
  expect(lab.text().match(/-32602/g)).toHaveLength(3);
});

test('equal questions have equal hashes, whatever their ids; any difference of the form gives another hash', () => {
  const hash = (params: object): string => {
    const read = readElicitation({ mode: 'form', message: 'm', sessionId: 's', ...params });
    return read.kind === 'read' ? read.hash : read.why;
  };
  const form = (status: object) => ({ requestedSchema: { type: 'object', properties: { status } } });
  const one = hash({ toolCallId: 'a', ...form({ type: 'string', title: 'x' }) });
  expect(hash({ toolCallId: 'b', ...form({ title: 'x', type: 'string' }) })).toBe(one);
  expect(hash(form({ type: 'string', title: 'y' }))).not.toBe(one);
  expect(hash({ ...form({ type: 'string', title: 'x' }), message: 'm.' })).not.toBe(one);
});
