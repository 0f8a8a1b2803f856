/** `longhaul up -d`, then each of its processes is killed in the middle of a turn, then `longhaul up -d` again. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectTemporal, type TemporalLink } from '../../client/temporal.ts';
import type { Status } from '../../services/status.ts';
import { connect } from '../../store/sql.ts';
import type { ProjectId } from '../../workflows/contract.ts';
import { longhaul } from '../lab/longhaul.ts';
import { isWaiting, Observer, streamedText } from '../lab/observer.ts';
import { makeRepository } from '../lab/repositories.ts';

let home: string;
let link: TemporalLink;
let seen: Observer;

beforeAll(async () => {
  home = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-faults-')));
  const status = await up();
  const sql = connect(status.database_url ?? '');
  link = connectTemporal({ namespace: 'default', connection: { address: status.temporal_address ?? '' } });
  const repository = await makeRepository(path.join(home, 'project'));
  const [project] = await sql<{ id: ProjectId }[]>`
    INSERT INTO projects (name, path) VALUES ('lab', ${repository.path}) RETURNING id`;
  if (!project) throw new TypeError('no project');
  seen = new Observer({ home, sql, client: link.client, repository, projectId: project.id });
});

afterAll(async () => {
  // Whatever failed before: nothing of this home stays.
  const leaked = await seen?.endLeaked();
  await Promise.all([seen?.sql.end({ timeout: 1 }), link?.close()]);
  expect(await longhaul(home, ['down'])).toMatchObject({ code: 0 });
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
  expect(leaked).toEqual([]);
});

async function up(): Promise<Status> {
  const ran = await longhaul(home, ['up', '-d', '--json'], { XDG_STATE_HOME: path.join(home, 'agent-state') });
  expect(ran).toMatchObject({ code: 0 });
  return JSON.parse(ran.stdout) as Status;
}

test.each([
  ['worker', ['worker']],
  ['backend', ['backend']],
  ['Temporal server', ['temporal']],
  ['Postgres', ['postgres']],
  ['supervisor', ['supervisor']],
  ['whole of it', ['supervisor', 'worker', 'backend', 'temporal', 'postgres']],
])('the %s killed in mid-turn: up again, the task completes as if nothing had been', async (_title, victims) => {
  const before = await seen.repository.fingerprint();
  const gate = seen.gate();
  const parts = (await up()).parts;
  const task = await seen.submit({
    input: `write first.txt with first. say part one. run cat ${gate.path}. say part two. write second.txt with second`,
  });
  await seen.untilFrame(task, 'the agent waits', isWaiting);
  for (const { name, pid } of parts) if (victims.includes(name) && pid) process.kill(pid, 'SIGKILL');
  await up();
  await gate.open();

  expect(await seen.ended(task)).toMatchObject({ state: 'completed', error_code: null });
  expect(await seen.changes(task)).toMatchObject([{ partial: false }]);
  expect(await seen.inChange(task, 'first.txt')).toBe('first');
  expect(await seen.inChange(task, 'second.txt')).toBe('second');
  const assistant = (await seen.messages(task)).filter((message) => message.role === 'assistant');
  expect(assistant).toMatchObject([{ status: 'complete' }]);
  expect(assistant[0]?.content).toBe(streamedText(await seen.frames(task)));
  expect(assistant[0]?.content.split('part one')).toHaveLength(2);
  expect(await seen.leftovers(task)).toEqual([]);
  expect(await seen.repository.fingerprint()).toEqual(before);
});
