/** Describes the end of a task in lines of text. */
import type { TaskDescription } from '../client/tasks.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { isFinal } from '../contract/task.ts';
import type { LiveLine } from './screen.ts';
import { changeText, isKept } from './task-text.ts';
import { harmless, type Paint, seconds, type Style } from './terminal.ts';

const MARKS = { completed: ['✓', 'green'], failed: ['✗', 'red'], cancelled: ['■', 'yellow'] } as const;

/** Returns one line that says how the task ended. */
export const endLine = (task: TaskDescription, paint: Paint): string => {
  const { text, style } = ending(task);
  return style ? paint(style, text) : text;
};

function ending(task: TaskDescription): LiveLine {
  if (!isFinal(task.state)) return { text: `task ${shortId(task.id)} is ${task.state}` };
  const [mark, style]: readonly [string, Style] = isKept(task) ? ['!', 'yellow'] : MARKS[task.state];
  const tookMs = Date.parse(task.ended_at ?? '') - Date.parse(task.created_at ?? '');
  const head = [`${mark} ${task.state}`];
  if (task.error_code) head.push(task.error_code);
  if (!Number.isNaN(tookMs)) head.push(seconds(tookMs));
  head.push(isKept(task) && !task.change ? 'its work is not in a change' : changeText(task.change));
  // The line names the session because `longhaul run --session` needs its id.
  if (task.session_id) head.push(`session ${shortId(task.session_id)}`);
  return { text: head.join(' · '), style };
}

/** Returns lines that name the kept worktree. The last warning in the timeline says why the worktree was kept. */
function keptLines(task: TaskDescription): string[] {
  return [
    `  Its worktree was kept, with all edits of the agent: ${harmless(task.kept_worktree ?? '')}`,
    `  longhaul show ${shortId(task.id)}    why, and what to do`,
  ];
}

/**
 * Returns how the task ended, what it left, and commands to continue or to see its change. `before`: the task on whose
 * change its change is based. For a task that has not ended, returns one line with its state.
 */
export function endLines(task: TaskDescription, before?: TaskId): LiveLine[] {
  if (!isFinal(task.state)) return [ending(task)];
  const more: string[] = [];
  // The summary of a completed task is omitted, because this summary is the last paragraph of the agent's text, which
  // was printed before.
  if (task.state !== 'completed' && task.output_summary) {
    more.push(
      ...harmless(task.output_summary)
        .trimEnd()
        .split('\n')
        .map((line) => `  ${line}`),
    );
  }
  if (isKept(task)) more.push(...keptLines(task));
  if (task.session_id !== null) {
    more.push(`  longhaul reply ${shortId(task.id)} '…'     continue its session, ${shortId(task.session_id)}`);
  }
  if (task.change && before) {
    more.push(
      `  longhaul diff ${shortId(task.id)}            on top of the change of task ${shortId(before)}`,
      `  longhaul diff --session ${shortId(task.id)}  all changes of the session`,
    );
  } else if (task.change) more.push(`  longhaul diff ${shortId(task.id)}`);
  else if (task.state === 'failed') more.push(`  longhaul show ${shortId(task.id)}`);
  return [{ text: '' }, ending(task), ...more.map((text) => ({ text }))];
}
