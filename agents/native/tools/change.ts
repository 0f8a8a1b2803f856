/** The tools that change one file: edit and write. The effect of a call is computed before the call is executed. */
import { relative } from 'node:path';
import { z } from 'zod';
import { confineForWriting, ToolRefusal } from './confine.ts';
import { hashOf, replaceFile, textOf } from './text-files.ts';
import type { Tool, ToolContext } from './tool.ts';

interface FileChange {
  readonly path: string;
  readonly shown: string;
  /** The text of the file before the edit; `undefined` if the file does not exist yet. */
  readonly before: string | undefined;
  readonly after: string;
}

type Change<Input> = (input: Input, context: ToolContext) => FileChange;

function fileTool<Input>(
  of: Pick<Tool<Input>, 'name' | 'description' | 'input'> & { readonly change: Change<Input> },
): Tool<Input> {
  const { change, ...rest } = of;
  return {
    ...rest,
    kind: 'edit',
    changes: true,
    show(input, context) {
      const { path, shown, before, after } = change(input, context);
      const title = `${before === undefined ? 'Create' : 'Edit'} ${shown}`;
      return { title, paths: [path], content: { type: 'diff', path, oldText: before ?? null, newText: after } };
    },
    plan(input, context) {
      const { path, before, after } = change(input, context);
      return { path, before: before === undefined ? null : hashOf(before), after: hashOf(after) };
    },
    async run(input, context) {
      const { path, before, after } = change(input, context);
      if (before === after) return { ok: true, text: 'The file has this content already.' };
      replaceFile(path, after, context.draft);
      return { ok: true, text: `${relative(context.cwd, path)} is written.` };
    },
  };
}

const PATH = z.string().min(1).describe('File, relative to the working directory.');

export const edit = fileTool<{ path: string; old_text: string; new_text: string; all?: boolean | undefined }>({
  name: 'edit',
  description:
    'Replaces old_text by new_text in a file. old_text must occur exactly once, unless `all` is true: take enough of the lines around it.',
  input: z.object({
    path: PATH,
    old_text: z.string().min(1).describe('Exactly as in the file, with all spaces and line ends.'),
    new_text: z.string(),
    all: z.boolean().optional().describe('Replace every occurrence.'),
  }),
  change({ path: named, old_text: old, new_text: replacement, all = false }, { cwd }) {
    const { path, shown } = confineForWriting(cwd, named);
    const before = textOf(path, shown);
    if (before === undefined) throw new ToolRefusal(`There is no file ${shown}. The tool write creates one.`);
    const parts = before.split(old);
    const found = parts.length - 1;
    if (found === 0) throw new ToolRefusal(`${shown} does not contain old_text. Read the file and copy it exactly.`);
    if (found > 1 && !all)
      throw new ToolRefusal(`${shown} contains old_text ${found} times. Add lines around it, or set all.`);
    return { path, shown, before, after: parts.join(replacement) };
  },
});

export const write = fileTool<{ path: string; content: string }>({
  name: 'write',
  description: 'Creates a file, or replaces all of its content. For a small change use edit.',
  input: z.object({ path: PATH, content: z.string() }),
  change({ path: named, content }, { cwd }) {
    const { path, shown } = confineForWriting(cwd, named);
    return { path, shown, before: textOf(path, shown), after: content.toWellFormed() };
  },
});
