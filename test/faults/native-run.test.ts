/** The native agent as a user has it: `longhaul run` in a repository, with nothing but a model's address. */
import { expect, test } from 'vitest';
import type { TaskId } from '../../contract/ids.ts';
import { startHome } from '../lab/home.ts';
import { inOrder, ModelServer } from '../lab/model-server/model-server.ts';

test.each(['chat', 'anthropic', 'google'] as const)(
  'longhaul run over %s: the agent reads, edits, runs the test, and its edits are the change',
  async (api) => {
    const model = await ModelServer.start();
    model.answer = inOrder(
      { say: 'I read it.', calls: [{ tool: 'read', input: { path: 'src/greet.js' } }] },
      { calls: [{ tool: 'edit', input: { path: 'src/greet.js', old_text: 'Hello', new_text: 'Good day' } }] },
      { calls: [{ tool: 'run', input: { command: "grep -q 'Good day' src/greet.js && echo passed" } }] },
      { say: 'The test passes.' },
    );
    const home = await startHome({ env: model.env(api) });
    try {
      const before = await home.repository.fingerprint();
      const ran = await home.command('run', '--project', home.repository.path, 'Fix the failing test');
      expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('The test passes.') });
      const [task] = await home.seen.sql<{ id: TaskId }[]>`SELECT id FROM tasks`;
      const id = task?.id ?? ('' as TaskId);
      expect(await home.seen.inChange(id, 'src/greet.js')).toContain('Good day');
      expect(model.requests.at(-1)?.messages.at(-1)?.results[0]?.text).toMatch(/^passed\n/);
      expect(model.requests.flatMap(({ broken }) => broken)).toEqual([]);
      expect(await home.seen.leftovers(id)).toEqual([]);
      expect(await home.repository.fingerprint()).toEqual(before);
    } finally {
      await home.close();
      await model.stop();
    }
  },
);
