/** Converts a permission request to the form that rules compare: its commands, and its paths resolved to real paths. */
import { commandOf, commandToRun, executionContextOf } from '../contract/tool-command.ts';
import type { RulePart, RuleSubject } from '../contract/permission-rules.ts';
import { plainCommands } from '../contract/shell-words.ts';
import { pathInside } from './acp/files.ts';
import type { PermissionAsk } from './driver.ts';

/** The kinds of tool calls whose paths describe the call completely. */
const FILE_KINDS = ['read', 'edit', 'delete', 'move', 'search'];

/** Returns what rules compare with. `root` is the real path of the task's folder, in which the agent runs. */
export async function subjectOf(ask: PermissionAsk, root: string): Promise<RuleSubject> {
  const { kind } = ask.toolCall;
  const paths = await pathsOf(ask, root);
  if (kind === 'execute') {
    const parts = await commandParts(ask, root);
    return { tool_kind: kind, parts, besides: paths, text: await exactText(ask, root) };
  }
  if (!FILE_KINDS.includes(kind)) return { tool_kind: kind, parts: [{ type: 'other' }], besides: paths };
  const unknown: RulePart[] = ask.isCut || paths.length === 0 ? [{ type: 'other' }] : [];
  return { tool_kind: kind, parts: [...paths, ...unknown], besides: [] };
}

async function pathsOf({ toolCall }: PermissionAsk, root: string): Promise<RulePart[]> {
  const edited = toolCall.content.flatMap((one) => (one.type === 'diff' ? [one.path] : []));
  const named = new Set([...toolCall.locations.map(({ path }) => path), ...edited]);
  return Promise.all(
    [...named].map(async (path) => ({ type: 'path' as const, named: path, inside: await pathInside(root, path) })),
  );
}

/** Returns one part for each command. If the call does not show which programs it runs, the part has no `words`. */
async function commandParts({ toolCall }: PermissionAsk, root: string): Promise<RulePart[]> {
  const run = commandToRun(toolCall);
  // Some agents show the command in the title only. Such a command can match a rule that denies, but no rule that
  // allows, because a title is arbitrary text.
  if (!run) return [{ type: 'command', text: commandOf(toolCall) ?? toolCall.title }];
  const text = 'text' in run ? run.text : run.argv.join(' ');
  const isUsual = await runsAsUsual(toolCall, root);
  const commands = 'text' in run ? plainCommands(run.text) : [run.argv];
  if (!isUsual || !commands) return [{ type: 'command', text }];
  return commands.map((words) => ({ type: 'command', text: words.join(' '), words }));
}

/** Returns whether the command runs inside the task's folder and with the agent's environment. */
async function runsAsUsual(toolCall: PermissionAsk['toolCall'], root: string): Promise<boolean> {
  const { folders, environment } = executionContextOf(toolCall);
  const inside = await Promise.all(
    folders.map(async (one) => (typeof one === 'string' ? pathInside(root, one || '.') : undefined)),
  );
  return !environment && !inside.includes(undefined);
}

async function exactText({ toolCall }: PermissionAsk, root: string): Promise<string | undefined> {
  const run = commandToRun(toolCall);
  return run && 'text' in run && (await runsAsUsual(toolCall, root)) ? run.text : undefined;
}
