/**
 * `longhaul completion --words`: prints ids of tasks or sessions, or names of agents, for the completion script of a
 * shell.
 */
import type { Longhaul } from '../client/connection.ts';
import { agentNames } from '../client/agents.ts';
import { findSessions } from '../client/sessions.ts';
import { listTasks } from '../client/tasks.ts';
import { shortId } from '../contract/ids.ts';
import { isFinal, TASK_STATES } from '../contract/task.ts';
import type { Words } from './definitions/completion.ts';
import { EXIT, runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';

const WORDS_SHOWN = 50;

/** Prints nothing if the words cannot be read, because a completion script must not show an error. */
export async function printWords(kind: Words): Promise<void> {
  await runCommand({}, async () => {
    const said = await withLonghaul(async ({ longhaul }) => wordsOf(longhaul, kind)).catch(() => []);
    process.stdout.write(said.map((word) => `${word}\n`).join(''));
    return EXIT.done;
  });
}

const OF_STATE = {
  tasks: {},
  'open-tasks': { states: TASK_STATES.filter((state) => !isFinal(state)) },
  'ended-tasks': { states: TASK_STATES.filter(isFinal) },
} as const;

async function wordsOf(longhaul: Longhaul, kind: Words): Promise<string[]> {
  if (kind === 'agents') return agentNames(longhaul.sql);
  const limit = WORDS_SHOWN;
  const found =
    kind === 'sessions'
      ? await findSessions(longhaul, { limit })
      : await listTasks(longhaul, { limit, ...OF_STATE[kind] });
  return found.map(({ id }) => shortId(id));
}
