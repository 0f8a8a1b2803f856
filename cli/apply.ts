/** The commands `longhaul apply`, `undo` and `reject`, which carry out an action on a change. */
import { actOnChange, type ChangeAction, rejectChange } from '../client/change-actions.ts';
import { getDiff } from '../client/tasks.ts';
import { findId } from '../client/short-ids.ts';
import { resolveTaskId } from '../client/task-ids.ts';
import { type ChangeId, shortId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { runCommand } from './exit.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { harmless } from './terminal.ts';

interface Options {
  readonly json?: boolean;
}

type Act = (context: CommandContext, changeId: ChangeId) => Promise<ChangeAction>;

const action = (act: Act) => (text: string, options: Options) =>
  runCommand(options, () =>
    withLonghaul(async (context) => {
      const done = await act(context, await changeIdOf(context, text));
      process.stdout.write(options.json ? `${JSON.stringify(done)}\n` : textOf(done, text));
    }),
  );

export const applyAction = action(({ longhaul }, changeId) =>
  actOnChange(longhaul, { changeId, kind: 'apply', by: 'cli' }),
);
export const undoAction = action(({ longhaul }, changeId) =>
  actOnChange(longhaul, { changeId, kind: 'undo', by: 'cli' }),
);
export const rejectAction = action(({ longhaul }, changeId) => rejectChange(longhaul, changeId, 'cli'));

/** Returns the change that the text names by its id, or else the change of the task that the text names. */
async function changeIdOf({ longhaul }: CommandContext, text: string): Promise<ChangeId> {
  const { sql } = longhaul;
  const id = await findId(sql, 'change', text);
  if (id !== undefined) return id;
  const taskId = await resolveTaskId(sql, text);
  const diff = await getDiff(longhaul, taskId);
  if (diff) return diff.change_id;
  throw new LonghaulError(
    'change_not_found',
    `Task ${shortId(taskId)} has no change. longhaul show ${shortId(taskId)} shows how it ended.`,
  );
}

const SHOWN_FILES = 50;
const LETTERS = { added: 'A', modified: 'M', deleted: 'D' } as const;

function textOf({ kind, checkout, files, change_id: id }: ChangeAction, text: string): string {
  if (kind === 'reject') return `change ${shortId(id)} is rejected; nothing was changed in the project\n`;
  const lines = files.slice(0, SHOWN_FILES).map(({ path, status }) => `${LETTERS[status]} ${harmless(path)}`);
  const more = files.length - lines.length;
  if (more > 0) lines.push(`… and ${more} more`);
  const count = `${files.length} ${files.length === 1 ? 'file' : 'files'}`;
  const place = checkout === null ? '' : ` in ${harmless(checkout)}`;
  if (kind === 'undo')
    return `${lines.join('\n')}\n${count} as before${place}. longhaul apply ${text} applies the change again.\n`;
  if (files.length === 0) return `nothing to write${place}: the files already have the change\n`;
  return `${lines.join('\n')}\n${count} written${place}, nothing committed. longhaul undo ${text} takes them back.\n`;
}
