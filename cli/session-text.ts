/** Formats sessions as lines of text. */
import type { SessionSummary } from '../client/sessions.ts';
import { type TaskState, TASK_STATES } from '../contract/task.ts';
import { type Cell, type Column, tableLines } from './table.ts';
import { ageText, firstLine, STATE_STYLES } from './task-text.ts';
import { harmless, type Paint } from './terminal.ts';
import { shortId } from '../contract/ids.ts';

const HEADER: readonly Column[] = [
  { title: 'SESSION' },
  { title: 'OPEN' },
  { title: 'TASKS', dropped: 3 },
  { title: 'LAST', most: 12 },
  { title: 'PROJECT', most: 24, dropped: 2 },
  { title: 'AGE', dropped: 1 },
  { title: 'LAST INPUT' },
];

/** Returns a table of sessions. The column AGE has the age of a session's newest task. */
export function sessionTable(
  sessions: readonly SessionSummary[],
  { columns, now, paint }: { columns: number | undefined; now: number; paint: Paint },
): string {
  const rows = sessions.map((session): Cell[] => {
    const state = TASK_STATES.find((one): one is TaskState => one === session.last_state);
    return [
      { text: shortId(session.id) },
      { text: String(session.open_tasks) },
      { text: String(session.tasks) },
      { text: session.last_state ?? '-', ...(state && { style: STATE_STYLES[state] }) },
      { text: harmless(session.project_name ?? '-') },
      { text: ageText(session.last_at, now) },
      { text: firstLine(session.last_input ?? session.name ?? '') },
    ];
  });
  return tableLines(HEADER, rows, { columns, paint }).join('\n');
}
