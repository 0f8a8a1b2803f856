import { afterAll, beforeAll, expect, test } from 'vitest';
import { newestCommands } from '../../store/commands.ts';
import { freshDatabase, type LabDatabase } from '../lab/database.ts';
import { append, labSession } from '../lab/log.ts';

let database: LabDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

test.each([
  ['no list', { name: 'a' }, []],
  ['elements without a name', [null, 5, 'a', {}, { name: 5 }, { name: 'a', description: 'd', hint: 'h' }], [{ name: 'a', description: 'd', hint: 'h' }]], // prettier-ignore
  ['a description that is no text', [{ name: 'a', description: 5 }, { name: 'b' }], [{ name: 'a', description: '' }, { name: 'b', description: '' }]], // prettier-ignore
])(
  'a frame of another program that has %s: the next task gets the commands that have a name',
  async (_, found, commands) => {
    const { sql } = database;
    const at = await labSession(sql);
    await append(sql, at, [{ type: 'agent_commands', commands: [] }]);
    await sql`UPDATE frames SET body = ${JSON.stringify({ commands: found })}::text::jsonb WHERE session_id = ${at.sessionId}`;
    expect(await newestCommands(sql, at.sessionId)).toEqual(commands);
  },
);
