/** What a permission request is about, in full: the command, the paths, the edits. */
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

function commandLines({ raw_input: input, title }: ToolCall): string[] {
  const command = typeof input === 'object' && input !== null && 'command' in input ? input.command : undefined;
  const text = Array.isArray(command) ? command.join(' ') : command;
  return typeof text === 'string' && text !== '' && text !== title ? text.split('\n') : [];
}

const marked = (mark: string, text: string): string[] =>
  text === ''
    ? []
    : text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => `${mark} ${line}`);
