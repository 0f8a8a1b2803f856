/** Lists all tools, and selects the tools of a mode. */
import type { LanguageModelV3FunctionTool } from '@ai-sdk/provider';
import { z } from 'zod';
import { edit, write } from './change.ts';
import { list, read, search } from './read-only.ts';
import { runCommand } from './run-command.ts';
import { type AnyTool, anyTool } from './tool.ts';

export const TOOLS: readonly AnyTool[] = [
  anyTool(list),
  anyTool(read),
  anyTool(search),
  anyTool(edit),
  anyTool(write),
  anyTool(runCommand),
];

export const MODES = [
  { id: 'code', name: 'Code', description: 'Edits files and runs commands, after asking' },
  { id: 'ask', name: 'Ask', description: 'Reads and answers; changes nothing' },
  { id: 'plan', name: 'Plan', description: 'Reads and writes a plan; changes nothing' },
] as const;
export type Mode = (typeof MODES)[number]['id'];

export const isMode = (value: unknown): value is Mode => MODES.some(({ id }) => id === value);

export const toolsOf = (mode: Mode): readonly AnyTool[] =>
  mode === 'code' ? TOOLS : TOOLS.filter(({ changes }) => !changes);

export function toolDefinitions(tools: readonly AnyTool[]): LanguageModelV3FunctionTool[] {
  return tools.map(({ name, description, schema }) => {
    const { $schema: _, ...inputSchema } = z.toJSONSchema(schema);
    return {
      type: 'function',
      name,
      description,
      inputSchema: inputSchema as LanguageModelV3FunctionTool['inputSchema'],
    };
  });
}
