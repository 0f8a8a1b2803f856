/**
 * A task in a terminal whose parts are killed while its program prints and while a tool of it runs: it completes with each edit
 * once. An agent that continues its conversation is run again in it; any other starts over on a clean worktree.
 */
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { TaskId } from '../../../contract/ids.ts';
import { type LabHome, startHome } from '../../lab/home.ts';
import { streamedText } from '../../lab/observer.ts';
import { endsAgent, killPart, PATH_MOMENTS, PATH_VICTIMS, type PathMoment, recordPathCell, rowOf } from './paths.ts';

/** The profile of goose continues a conversation by a name that the adapter chose; an agent without a profile cannot. */
const AGENTS = [
  { agent: 'goose', resumes: true },
  { agent: 'plain', resumes: false },
] as const;
type Agent = (typeof AGENTS)[number];

const CELLS = PATH_MOMENTS.flatMap((moment) =>
  PATH_VICTIMS.flatMap((victim) =>
    AGENTS.flatMap((agent) =>
      // Both are the agent: the process that speaks ACP, and the one that does the work.
      (victim === 'agent' ? ['the adapter', 'its program'] : [victim]).map((killed) => ({
        ...agent,
        moment,
        victim,
        killed,
      })),
    ),
  ),
);

let home: LabHome;
const file = (name: string): string => path.join(home.home, name);

/** Its first run waits for the gate: it prints until then, or a tool in a session of its own does not end until then. */
const program = (): string => `#!/bin/sh
for prompt; do :; done
[ -e "$prompt" ] && prompt=$(cat "$prompt")
isFirst=$([ -e ${file('begun')} ] || echo yes)
echo "$* | $(echo "$prompt" | tr '\\n' ' ')" >> ${file('runs')}
echo $$ > ${file('pid')}
case "$*" in
  *--resume*) echo 'I continue.' ;;
  *) echo 'I begin.'; echo one >> one.txt ;;
esac
case "$isFirst $prompt" in
  yes*mid-tool*) setsid --wait sh -c 'touch ${file('begun')}; while [ ! -e ${file('gate')} ]; do sleep 0.1; done; echo ok' ;;
  yes*mid-stream*)
    touch ${file('begun')}
    number=0
    while [ ! -e ${file('gate')} ]; do echo "word $number"; number=$((number + 1)); sleep 0.05; done ;;
esac
echo two > two.txt
echo 'Both are written.'
`;

beforeAll(async () => {
  home = await startHome();
  for (const { agent } of AGENTS) {
    await writeFile(file(agent), program());
    await chmod(file(agent), 0o755);
    await home.seen.sql`
      INSERT INTO available_agents (name, supports_acp, install_path) VALUES (${agent}, false, ${file(agent)})`;
  }
});
beforeEach(() => Promise.all(['gate', 'begun', 'runs', 'pid'].map((name) => rm(file(name), { force: true }))));
afterAll(() => home.close());

const lines = async (name: string): Promise<string[]> =>
  (await readFile(file(name), 'utf8').catch(() => '')).split('\n').filter(Boolean);

async function reached(moment: PathMoment, task: TaskId): Promise<void> {
  const words = moment === 'mid-stream' ? 'word 5\n' : 'I begin.';
  await home.seen.until('its words', async () => streamedText(await home.seen.frames(task)).includes(words));
  await home.seen.until('its tool to run', () => readFile(file('begun')).then(() => true, () => false)); // prettier-ignore
}

/** What the message must be. Words that were not written when the worker was killed are lost. */
function expectText(text: string, { moment, restarted, resumes }: Agent & { moment: PathMoment; restarted: boolean }) {
  if (restarted && !resumes) return expect(text).toBe('I begin.\nBoth are written.');
  const all = text.split('\n').filter(Boolean);
  expect(all[0]).toBe('I begin.');
  const words = all.filter((line) => line.startsWith('word'));
  expect(words).toEqual(words.map((_, number) => `word ${number}`));
  expect(words.length > 5).toBe(moment === 'mid-stream');
  const ok = moment === 'mid-tool' && !restarted ? ['ok'] : [];
  const last = [...ok, ...(restarted ? ['I continue.'] : []), 'Both are written.'];
  expect(all.slice(1 + words.length)).toEqual(last);
}

test.each(CELLS)('$agent, $moment × $killed: each edit once, one change', async (cell) => {
  const { agent, moment, victim, killed, resumes } = cell;
  const startedAt = performance.now();
  const restarted = endsAgent(victim);
  const task = await home.seen.submit({ input: `Write two files, ${moment}`, agent });
  await reached(moment, task);
  const agentPid = killed === 'its program' ? Number(await readFile(file('pid'), 'utf8')) : undefined;
  await killPart(home, { victim, task, ...(agentPid !== undefined && { agentPid }) });
  // A tool that outlived its agent would run on.
  if (!restarted) await writeFile(file('gate'), '');

  expect(await home.seen.ended(task)).toMatchObject({ state: 'completed', error_code: null });
  expect(await home.seen.inChange(task, 'one.txt')).toBe('one');
  expect(await home.seen.inChange(task, 'two.txt')).toBe('two');
  expect(await home.seen.changes(task)).toMatchObject([{ partial: false }]);
  expect(await home.seen.leftovers(task)).toEqual([]);
  const frames = await home.seen.frames(task);
  const resets = frames.filter(({ type }) => type === 'message_reset');
  expect(resets).toHaveLength(restarted && !resumes ? 1 : 0);
  const message = (await home.seen.messages(task)).find(({ role }) => role === 'assistant');
  expect(streamedText(frames)).toBe(message?.content);
  expectText(message?.content ?? '', { ...cell, restarted });
  const [first = '', ...others] = await lines('runs');
  const name = /--name (\S+)/.exec(first)?.[1];
  const again = resumes ? `run --name ${name} --resume --instructions ` : `Write two files, ${moment} | `;
  expect(others).toEqual(restarted ? [expect.stringContaining(again)] : []);
  if (restarted && resumes) expect(others[0]).toContain('You were interrupted');
  await recordPathCell({
    row: rowOf('terminal', moment),
    victim,
    variant: resumes ? 'continues' : 'starts over',
    startedAt,
  });
});
