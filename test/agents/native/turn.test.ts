import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { thoughtOf } from '../../lab/model-server/history-rules.ts';
import { inOrder } from '../../lab/model-server/model-server.ts';
import { USAGE } from '../../lab/model-server/replies.ts';
import { until } from '../lab.ts';
import { nativeLab } from './lab.ts';

const call = (tool: string, input: Readonly<Record<string, unknown>> | string) => ({ tool, input });
const tokens = (steps: number) => ({
  input_tokens: steps * USAGE.input,
  output_tokens: steps * USAGE.output,
  total_tokens: steps * (USAGE.input + USAGE.output),
});

test.each([
  ['chat', 'm'],
  ['anthropic', 'claude-sonnet-4-5'],
  ['google', 'gemini-2.5-flash'],
] as const)('over %s it reads, edits, runs the test and reports the result', async (api, model) => {
  const lab = await nativeLab(
    inOrder(
      { think: 'I look first.', say: 'I read the file.', calls: [call('read', { path: 'sum.js' })] },
      { calls: [call('edit', { path: 'sum.js', old_text: 'a - b', new_text: 'a + b' })] },
      { calls: [call('run', { command: 'cat sum.js && echo tested' })] },
      { say: 'Fixed.' },
    ),
    api,
  );
  writeFileSync(join(lab.cwd, 'sum.js'), 'export const sum = (a, b) => a - b;\n');
  const { session } = await lab.begin();
  const end = await session.prompt('Fix the failing test');

  expect(end).toEqual({ kind: 'completed', usage: tokens(4) });
  expect(readFileSync(join(lab.cwd, 'sum.js'), 'utf8')).toBe('export const sum = (a, b) => a + b;\n');
  expect(lab.calls()).toMatchObject([
    { title: 'Read sum.js', status: 'completed' },
    { title: 'Edit sum.js', status: 'completed' },
    { title: 'Run cat sum.js && echo tested', status: 'completed', output: expect.stringContaining('tested') },
  ]);
  expect(lab.text()).toBe('I read the file.Fixed.');
  expect(lab.asks.map(({ toolCall }) => toolCall.title)).toEqual(['Edit sum.js', 'Run cat sum.js && echo tested']);
  const thoughts = lab.events.map((event) => (event.kind === 'reasoning' ? event.text : '')).join('');
  expect(thoughts).toBe(thoughtOf(model, 'I look first.'));
});

test('a permission request contains the complete diff and the complete command', async () => {
  const command = `echo ${'x'.repeat(500)}`;
  const lab = await nativeLab(
    inOrder(
      { calls: [call('write', { path: 'a.txt', content: 'new\n' }), call('run', { command })] },
      { say: 'Done.' },
    ),
  );
  writeFileSync(join(lab.cwd, 'a.txt'), 'old\n');
  const { session } = await lab.begin();
  await session.prompt('Go');
  const [edit, run] = lab.asks.map(({ toolCall }) => toolCall);
  expect(edit?.content).toEqual([{ type: 'diff', path: join(lab.cwd, 'a.txt'), old_text: 'old\n', new_text: 'new\n' }]);
  expect(run?.raw_input).toEqual({ command });
});

test('a denied call is not executed, and the model is informed', async () => {
  const lab = await nativeLab(
    inOrder({ calls: [call('write', { path: 'a.txt', content: 'x' }), call('run', { command: 'touch b.txt' })] }, { say: 'I did not.' }), // prettier-ignore
  );
  const { session } = await lab.begin(
    {},
    { onPermission: async (ask) => ({ kind: 'selected', optionId: ask.options.find(({ kind }) => kind === 'reject_once')?.option_id ?? '' }) }, // prettier-ignore
  );
  expect(await session.prompt('Go')).toMatchObject({ kind: 'completed' });
  expect([existsSync(join(lab.cwd, 'a.txt')), existsSync(join(lab.cwd, 'b.txt'))]).toEqual([false, false]);
  const results = lab.model.requests[1]?.messages.at(-1)?.results.map(({ text }) => text);
  expect(results).toEqual([expect.stringContaining('did not allow'), expect.stringContaining('did not allow')]);
});

test('the modes ask and plan have no tool that changes anything', async () => {
  for (const mode of ['ask', 'plan']) {
    const lab = await nativeLab(
      inOrder({ calls: [call('write', { path: 'a.txt', content: 'x' })] }, { say: 'A plan.' }),
    );
    const { session } = await lab.begin({ modeId: mode });
    expect(await session.prompt('Plan it')).toMatchObject({ kind: 'completed' });
    expect(lab.model.requests[0]?.tools).toEqual(['list', 'read', 'search']);
    expect(lab.calls()).toMatchObject([{ status: 'failed', output: expect.stringContaining(`The mode ${mode}`) }]);
    expect(existsSync(join(lab.cwd, 'a.txt'))).toBe(false);
  }
});

test('invalid calls get an error message as their result, and have no effect', async () => {
  const lab = await nativeLab(
    inOrder(
      {
        calls: [
          call('remove_everything', {}),
          call('read', '{"path": "a'),
          call('read', { file: 'a' }),
          call('read', { path: '/etc/passwd' }),
          call('write', { path: 'out/x', content: 'x' }),
          call('write', { path: '.git/hooks/pre-commit', content: 'x' }),
          call('edit', { path: 'a.txt', old_text: 'one', new_text: 'two' }),
        ],
      },
      { say: 'I see.' },
    ),
  );
  symlinkSync('/tmp', join(lab.cwd, 'out'));
  writeFileSync(join(lab.cwd, 'a.txt'), 'one one\n');
  const { session } = await lab.begin();
  expect(await session.prompt('Go')).toMatchObject({ kind: 'completed' });
  expect(lab.model.requests[1]?.messages.at(-1)?.results.map(({ text }) => text)).toEqual([
    expect.stringMatching(/no tool "remove_everything". The tools are: list, read, search, edit, write, run/),
    expect.stringMatching(/no JSON object/),
    expect.stringMatching(/arguments of read are wrong: path/),
    expect.stringMatching(/outside of the working directory/),
    expect.stringMatching(/outside of the working directory/),
    expect.stringMatching(/belongs to git/),
    expect.stringMatching(/contains old_text 2 times/),
  ]);
  expect(readFileSync(join(lab.cwd, 'a.txt'), 'utf8')).toBe('one one\n');
});

test('the third equal call in a row is not executed; the sixth ends the turn with a message', async () => {
  const lab = await nativeLab(() => ({ calls: [call('run', { command: 'echo made >> made.txt' })] }));
  const { session } = await lab.begin();
  const end = await session.prompt('Go');
  expect(end).toMatchObject({ kind: 'failed', code: 'llm_error', message: expect.stringMatching(/same call of run 6 times in a row/) }); // prettier-ignore
  expect(readFileSync(join(lab.cwd, 'made.txt'), 'utf8')).toBe('made\nmade\n');
  expect(lab.calls()[2]?.output).toMatch(/was made 3 times in a row/);
});

test('a turn has a limit of replies', async () => {
  let step = 0;
  const lab = await nativeLab(() => ({ calls: [call('list', { path: `x${(step += 1)}` })] }), 'chat', [
    '--max-steps',
    '4',
  ]);
  const { session } = await lab.begin();
  expect(await session.prompt('Go')).toMatchObject({ kind: 'failed', code: 'turn_limit' });
  expect(lab.model.requests).toHaveLength(4);
  expect(lab.text()).toMatch(/Stopped after 4 model calls/);
});

test('a command ends with all its child processes, at its timeout and at a stop', async () => {
  const lab = await nativeLab(
    inOrder(
      { calls: [call('run', { command: 'sleep 1000 & echo $!; sleep 1000', timeout_s: 1 })] },
      { calls: [call('run', { command: 'sleep 1000 & echo waits; sleep 1000' })] },
    ),
  );
  const { session } = await lab.begin();
  const end = session.prompt('Go');
  await until('the second command to run', () => lab.calls()[1]?.output.includes('waits') ?? false);
  expect(lab.calls()[0]?.output).toMatch(/ended after 1 s, its timeout/);
  lab.stop.abort();
  expect(await end).toEqual({ kind: 'stopped' });
});

test('commands do not get the keys of providers', async () => {
  const lab = await nativeLab(
    inOrder({ calls: [call('run', { command: 'echo "key=$ANTHROPIC_API_KEY task=$LONGHAUL_TASK"' })] }, { say: 'ok' }),
    'anthropic',
  );
  const { session } = await lab.begin();
  await session.prompt('Go');
  expect(lab.calls()[0]?.output).toMatch(new RegExp(`^key= task=${lab.taskId}\n`));
});

test('models, modes and thinking options are offered, and a choice applies to later turns', async () => {
  const lab = await nativeLab(inOrder({ say: 'ok' }), 'google');
  const { session } = await lab.begin({ model: 'google/gemini-2.5-flash', modeId: 'ask', thinkingOptionId: 'high' });
  await session.prompt('Go');
  expect(lab.model.requests[0]?.body).toMatchObject({
    generationConfig: { thinkingConfig: { thinkingBudget: 16_384 } },
  });
  const local = await nativeLab(inOrder({ say: 'ok' }));
  const chosen = await local.begin({ model: 'local/n' });
  await chosen.session.prompt('Go');
  expect(local.model.requests[0]?.model).toBe('n');
  const wrong = (await nativeLab(inOrder())).begin({ model: 'local/none' });
  await expect(wrong).rejects.toMatchObject({ code: 'option_not_available', message: expect.stringContaining('local/m, local/n') }); // prettier-ignore
});

test('reasoning in tags is recognised', async () => {
  const lab = await nativeLab(inOrder({ think: 'hm', say: 'An answer.', thoughtsIn: 'tags' }));
  const { session } = await lab.begin();
  await session.prompt('Why?');
  expect(lab.text()).toBe('An answer.');
});

test('a conversation longer than the context of the model is continued from a summary, made once', async () => {
  const lab = await nativeLab(({ tools }) => ({ say: tools.length === 0 ? 'They said x.' : 'ok' }));
  const { session } = await lab.begin();
  // 50,000 tokens are taken for 112,500 characters of conversation.
  for (let turn = 1; turn <= 9; turn += 1) {
    expect(await session.prompt(`turn ${turn} ${'x'.repeat(14_000)}`)).toMatchObject({ kind: 'completed' });
  }
  const summaries = lab.model.requests.filter(({ tools }) => tools.length === 0);
  expect(summaries).toHaveLength(1);
  const [first, ...rest] = lab.model.requests.at(-1)?.messages.flatMap(({ texts }) => texts) ?? [];
  expect(first).toBe('The conversation so far was too long and is replaced by this summary:\n\nThey said x.');
  expect(rest.at(-1)).toMatch(/^turn 9 /);
});
