import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkChoices, type Choices, refusalOf } from '../../client/choices.ts';
import type { AgentOffer, ProbeResult } from '../../contract/agent-snapshot.ts';
import type { ProjectId } from '../../contract/ids.ts';
import { LonghaulError } from '../../contract/errors.ts';
import { beginProbe, claimProbe, storeProbe } from '../../store/agent-snapshots.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';

let database: LabDatabase;
let projectId: ProjectId;
beforeAll(async () => {
  database = await freshDatabase();
  const [row] = await database.sql<{ id: ProjectId }[]>`INSERT INTO projects (path) VALUES ('/p') RETURNING id`;
  if (row) projectId = row.id;
});
afterAll(() => database.drop());

const thinking = (...ids: string[]) => ids.map((id, at) => ({ id, label: id, is_default: at === 0 }));
const OFFER: AgentOffer = {
  label: 'A',
  version: null,
  auth: 'ok',
  models: [
    { id: 'small', label: 'S', is_default: true, thinking_options: [] },
    { id: 'large', label: 'L', is_default: false, thinking_options: thinking('low', 'high') },
    { id: 'other', label: 'O', is_default: false, thinking_options: null },
  ],
  modes: [{ id: 'code', label: 'Code', description: '', risk: 'moderate', is_default: true }],
  thinking_options: [],
  commands: [],
  accepts_any: [],
  capabilities: { resume: true, images: false, login_methods: [] },
};

test.each<[Choices, boolean, string | undefined]>([
  [{}, false, undefined],
  [{ model: 'large', mode: 'code', thinking: 'high' }, false, undefined],
  [{ model: 'huge' }, false, 'model'],
  [{ mode: 'yolo' }, false, 'mode'],
  [{ model: 'large', thinking: 'extreme' }, false, 'thinking'],
  // Of the default model, which has none.
  [{ thinking: 'high' }, false, 'thinking'],
  // The conversation may have another model; nothing is known of the model's own options.
  [{ thinking: 'high' }, true, undefined],
  [{ model: 'other', thinking: 'extreme' }, false, undefined],
])('of the choices %o (a conversation continues: %s) is refused: %s', (choices, continues, refused) => {
  expect(refusalOf(OFFER, { choices, continues })?.choice).toBe(refused);
});

test('a value that only the agent can check is not refused', () => {
  const offer = { ...OFFER, accepts_any: ['model'] as const };
  expect(refusalOf(offer, { choices: { model: 'huge' }, continues: false })).toBeUndefined();
  expect(refusalOf(offer, { choices: { mode: 'yolo' }, continues: false })).toMatchObject({ choice: 'mode' });
});

async function probed(agent: string, result: ProbeResult): Promise<string> {
  const { sql } = database;
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES (${agent}, true) ON CONFLICT DO NOTHING`;
  const id = (await claimProbe(sql, { agent, projectId })) ?? '';
  await storeProbe(sql, id, { number: (await beginProbe(sql, id))?.number ?? 0, result });
  return id;
}
const ready: ProbeResult = { status: 'ready', offer: OFFER, report: null, install_hint: null };
const check = (agent: string, choices: Choices) =>
  checkChoices({ sql: database.sql }, { agent, projectId, choices, continues: false });
const refused = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

test('a choice that is not offered is refused with the valid ones', async () => {
  await probed('known', ready);
  expect(await check('known', { model: 'large' })).toBeUndefined();
  const error = await refused(check('known', { model: 'huge' }));
  expect(error).toBeInstanceOf(LonghaulError);
  expect(error).toMatchObject({
    code: 'option_not_available',
    message: 'known does not offer the model "huge"; it offers small, large, other. `longhaul agents show known` shows all.', // prettier-ignore
  });
});

test('what is not known is accepted with a note: an agent that was not probed, one whose probe failed, an old offer', async () => {
  const { sql } = database;
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('cold', true)`;
  expect(await check('cold', { model: 'x' })).toBe('Accepted without a check: model "x". cold: it has not said yet what it offers'); // prettier-ignore
  expect(await check('cold', {})).toBeUndefined();
  const failure = { status: 'error', code: 'agent_crashed', message: 'it exited with code 3', auth: 'unknown', report: null, install_hint: null } as const; // prettier-ignore
  await probed('broken', failure);
  expect(await check('broken', { mode: 'y' })).toContain('its newest probe failed: it exited with code 3');
  const old = await probed('old', ready);
  await sql`UPDATE agent_snapshots SET finished_at = now() - interval '1 hour', fetched_at = now() - interval '1 hour',
                   requested_at = now() - interval '1 hour' WHERE id = ${old}`;
  expect(await check('old', { model: 'large' })).toBeUndefined();
  expect(await check('old', { model: 'huge' })).toContain('Accepted without a check: model "huge"');
});

test('a probe that is under way is awaited, and its word counts', async () => {
  const { sql } = database;
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('starting', true)`;
  const id = (await claimProbe(sql, { agent: 'starting', projectId })) ?? '';
  const waiting = refused(check('starting', { model: 'huge' }));
  await storeProbe(sql, id, { number: (await beginProbe(sql, id))?.number ?? 0, result: ready });
  expect(await waiting).toMatchObject({ code: 'option_not_available' });
});

test('a probe that does not end is awaited for 5 s, then the choice is accepted with a note', async () => {
  const { sql } = database;
  await sql`INSERT INTO available_agents (name, supports_acp) VALUES ('silent', true)`;
  await claimProbe(sql, { agent: 'silent', projectId });
  const begun = performance.now();
  expect(await check('silent', { mode: 'x' })).toBe('Accepted without a check: mode "x". silent: it has not said yet what it offers'); // prettier-ignore
  expect(performance.now() - begun).toBeGreaterThanOrEqual(5_000);
});
