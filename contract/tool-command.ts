import type { ToolCall } from './vocabulary.ts';

/** The whole command of a call that runs one, as one text. `undefined`: its input names none. */
export function commandOf({ raw_input: input }: ToolCall): string | undefined {
  const command = typeof input === 'object' && input !== null && 'command' in input ? input.command : undefined;
  const text: unknown = Array.isArray(command) ? command.join(' ') : command;
  return typeof text === 'string' && text !== '' ? text : undefined;
}
