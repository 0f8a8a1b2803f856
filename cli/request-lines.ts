/** The complete content of a permission request: the command, the paths, the edits. */
import { commandOf } from '../contract/tool-command.ts';
import type { ToolCall } from '../contract/vocabulary.ts';

export function requestLines(call: ToolCall): string[] {
  const edits = call.content.flatMap((part) => (part.type === 'diff' ? [part] : []));
  const edited = new Set(edits.map(({ path }) => path));
  return [
    ...commandLines(call),
    ...call.locations.map(({ path }) => path).filter((path) => !edited.has(path)),
    ...edits.flatMap((edit) => [edit.path, ...marked('-', edit.old_text ?? ''), ...marked('+', edit.new_text)]),
  ];
}

function commandLines(call: ToolCall): string[] {
  const command = commandOf(call);
  return command !== undefined && command !== call.title ? command.split('\n') : [];
}

const marked = (mark: string, text: string): string[] =>
  text === ''
    ? []
    : text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => `${mark} ${line}`);
