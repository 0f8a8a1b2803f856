/** A native task whose parts are killed in the middle of a model's reply and in the middle of a command: it completes, and no finished reply is asked for twice. */
import { access, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deferred } from '../../../contract/promises.ts';
import { type LabHome, startHome } from '../../lab/home.ts';
import { type ModelRequest, ModelServer } from '../../lab/model-server/model-server.ts';
import type { Reply } from '../../lab/model-server/replies.ts';
import { endsAgent, killPart, PATH_MOMENTS, PATH_VICTIMS, recordPathCell, rowOf } from './paths.ts';

let home: LabHome;
let model: ModelServer;
beforeAll(async () => {
  model = await ModelServer.start();
  home = await startHome({ env: model.env('chat') });
});
beforeEach(() => {
  model.requests.length = 0;
});
afterAll(async () => {
  await home.close();
  await model.stop();
  expect(model.faults).toEqual([]);
});

/** How many replies of the model the request has seen. */
const repliesIn = ({ messages }: ModelRequest): number => messages.filter(({ role }) => role === 'assistant').length;

test.each(PATH_MOMENTS.flatMap((moment) => PATH_VICTIMS.map((victim) => [moment, victim] as const)))(
  '%s × %s: both edits once, one change, no finished reply asked for twice',
  async (moment, victim) => {
    const startedAt = performance.now();
    const [gate, begun] = ['gate', 'begun'].map((name) => path.join(home.home, name));
    await Promise.all([gate, begun].map((file) => rm(file ?? '', { force: true })));
    const hold = deferred();
    const held = deferred();
    const append = { tool: 'run', input: { command: 'echo one >> one.txt' } };
    const waiting = {
      tool: 'run',
      input: { command: `touch ${begun}; while [ ! -e ${gate} ]; do sleep 0.1; done; echo ok` },
    };
    model.answer = (request): Reply => {
      const replies = repliesIn(request);
      if (replies === 0) return { calls: [append, { tool: 'write', input: { path: 'two.txt', content: 'two\n' } }] };
      if (moment === 'mid-tool' && replies === 1) return { calls: [waiting] };
      held.resolve();
      return { say: 'Both are written.', ...(moment === 'mid-stream' ? { hold: hold.promise } : {}) };
    };
    const task = await home.seen.submit({ input: 'Write two files', agent: null });
    if (moment === 'mid-stream') await held.promise;
    else await home.seen.until('the command to run', () => access(begun ?? '').then(() => true, () => false)); // prettier-ignore
    await killPart(home, { victim, task });
    hold.resolve();
    await writeFile(gate ?? '', '');

    expect(await home.seen.ended(task)).toMatchObject({ state: 'completed', error_code: null });
    expect(await home.seen.inChange(task, 'one.txt')).toBe('one');
    expect(await home.seen.inChange(task, 'two.txt')).toBe('two');
    expect(await home.seen.changes(task)).toMatchObject([{ partial: false }]);
    expect(await home.seen.leftovers(task)).toEqual([]);
    // A reply that was cut off is asked for again; a finished one never.
    const asked = model.requests.map(repliesIn);
    const last = moment === 'mid-stream' && endsAgent(victim) ? [1, 1] : [1];
    expect(asked).toEqual(moment === 'mid-stream' ? [0, ...last] : [0, 1, 2]);
    expect(model.requests.flatMap(({ broken }) => broken)).toEqual([]);
    const outcome = model.requests.at(-1)?.messages.at(-1)?.results[0]?.text;
    if (moment === 'mid-tool') expect(outcome).toMatch(endsAgent(victim) ? /^Interrupted: the outcome is unknown/ : /^ok\n/); // prettier-ignore
    await recordPathCell({ row: rowOf('native', moment), victim, variant: 'over chat completions', startedAt });
  },
);
