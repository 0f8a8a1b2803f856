/** Formats the complete content of a permission request: the command, the paths, the edits. */
import type { SessionId } from '../contract/ids.ts';
import { commandOf } from '../contract/tool-command.ts';
import type { ToolCall } from '../contract/vocabulary.ts';

export interface ShownRequest {
  readonly call: ToolCall;
  /** The title that is shown above the lines. The lines do not repeat it. */
  readonly title: string;
  readonly sessionId: SessionId;
}

export function requestLines({ call, title, sessionId }: ShownRequest): string[] {
  const edits = call.content.flatMap((part) => (part.type === 'diff' ? [part] : []));
  const edited = new Set(edits.map(({ path }) => path));
  const shown = (path: string): string => inWorktree(path, sessionId);
  return [
    ...commandLines(call, title),
    ...call.locations.flatMap(({ path }) => (edited.has(path) ? [] : [shown(path)])),
    ...edits.flatMap((edit) => [shown(edit.path), ...marked('-', edit.old_text ?? ''), ...marked('+', edit.new_text)]),
  ];
}

/**
 * Returns a path below the session's worktree relative to it, and any other path unchanged. The folder name of a
 * session's second worktree ends in a part of a task's id.
 */
function inWorktree(path: string, sessionId: SessionId): string {
  const [, below] = new RegExp(`/worktrees/${sessionId}(?:-[0-9a-f]{8})?/(.+)$`, 's').exec(path) ?? [];
  return below ?? path;
}

function commandLines(call: ToolCall, title: string): string[] {
  const command = commandOf(call);
  return command !== undefined && !title.includes(command) ? command.split('\n') : [];
}

const marked = (mark: string, text: string): string[] =>
  text === ''
    ? []
    : text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => `${mark} ${line}`);
