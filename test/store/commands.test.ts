import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProjectId } from '../../contract/ids.ts';
import { commandsIn, offeredCommands } from '../../store/commands.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const HINTED = { name: 'a', description: 'd', hint: 'h' };

test.each([
  ['no list', { name: 'a' }, []],
  ['elements without a name', [null, 5, 'a', {}, { name: 5 }, HINTED], [HINTED]],
  ['a description that is no text', [{ name: 'a', description: 5 }, { name: 'b' }], [{ name: 'a', description: '' }, { name: 'b', description: '' }]], // prettier-ignore
])('a row of another program that has %s: readers get the commands that have a name', (_, found, commands) => {
  expect(commandsIn(found)).toEqual(commands);
});

test('the commands of an agent are those found in the project, otherwise those found in an empty folder', async () => {
  const { sql } = database;
  const [here, elsewhere] = [randomUUID(), randomUUID()] as string[] as ProjectId[];
  const store = (agent: string, projectId: ProjectId | null, commands: unknown) =>
    sql`INSERT INTO agent_snapshots (agent, project_id, offer)
        VALUES (${agent}, ${projectId}, ${JSON.stringify({ commands })}::text::jsonb)`;
  await store('a', null, [{ name: 'init', description: 'i', argument_hint: null, source: 'agent' }]);
  await store('a', here ?? null, [{ name: 'ours', description: 'o', argument_hint: 'FILE', source: 'agent' }]);
  await store('odd', null, 'nothing');
  const of = (agent: string, projectId: ProjectId | null = null) => offeredCommands(sql, { agent, projectId });
  expect(await of('a', here)).toEqual([{ name: 'ours', description: 'o', argument_hint: 'FILE' }]);
  expect(await of('a', elsewhere)).toEqual([{ name: 'init', description: 'i' }]);
  expect(await of('a')).toEqual([{ name: 'init', description: 'i' }]);
  expect(await of('odd')).toEqual([]);
  expect(await of('unknown')).toEqual([]);
});
