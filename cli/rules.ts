/** `longhaul rules`: lists, adds and removes the rules that answer permission requests before the policy of a task. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { addRule, listRules, removeRule, type Rule, type RuleTarget } from '../client/permission-rules.ts';
import { projectAt } from '../client/projects.ts';
import { resolveId } from '../client/short-ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { shortId } from '../contract/ids.ts';
import { RULE_EFFECTS, ruleText } from '../contract/permission-rules.ts';
import { runCommand } from './exit.ts';
import { type CommandContext, withLonghaul } from './longhaul.ts';
import { harmless } from './terminal.ts';

interface Options {
  readonly json?: boolean;
  readonly task?: string;
  readonly session?: string;
  readonly project?: string;
  readonly kind?: string;
  readonly path?: string;
  readonly command?: string;
  readonly first?: boolean;
}

export const rulesAction = (options: Options, command: Command): Promise<void> => {
  const [word] = command.args;
  if (word !== undefined) command.error(`error: unknown command '${word}': expected add, remove or nothing`);
  return runCommand(options, () =>
    withLonghaul(async (context) => {
      const rules = await listRules(context.longhaul, await placeOf(context, options));
      print(options, rules, rules.map(ruleLine).join('\n') || 'there is no rule');
    }),
  );
};

export const rulesAddAction = (effect: string, _options: unknown, command: Command): Promise<void> => {
  // An option may stand before or after `add`.
  const options: Options = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async (context) => {
      const known = RULE_EFFECTS.find((one) => one === effect);
      if (!known)
        throw new LonghaulError(
          'invalid_input',
          `effect: expected one of ${RULE_EFFECTS.join(', ')}, found ${JSON.stringify(effect)}.`,
        );
      const place = (await placeOf(context, options)) ?? (await projectTarget(context, '.'));
      const match = {
        tool_kind: options.kind ?? null,
        path_glob: options.path ?? null,
        command_pattern: options.command ?? null,
      };
      const added = await addRule(context.longhaul, { place, effect: known, match, first: options.first ?? false });
      print(options, added, `added: ${ruleLine(added)}`);
    }),
  );
};

export const rulesRemoveAction = (text: string, _options: unknown, command: Command): Promise<void> => {
  const options: Options = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const removed = await removeRule(longhaul, await resolveId(longhaul.sql, 'rule', text));
      print(options, removed, `removed: ${ruleLine(removed)}`);
    }),
  );
};

/** Returns a rule in one line, for instance `1a2b3c4d session allow command npm test`. */
export const ruleLine = (rule: Rule): string =>
  `${shortId(rule.id)}  ${rule.scope.padEnd(7)}  ${harmless(ruleText(rule)).replaceAll('\n', '⏎')}`;

async function placeOf(context: CommandContext, { task, session, project }: Options): Promise<RuleTarget | undefined> {
  const { sql } = context.longhaul;
  if ([task, session, project].filter((one) => one !== undefined).length > 1)
    throw new LonghaulError('invalid_input', 'expected one of --task, --session and --project, found several.');
  if (task !== undefined) return { taskId: await resolveId(sql, 'task', task) };
  if (session !== undefined) return { sessionId: await resolveId(sql, 'session', session) };
  return project === undefined ? undefined : projectTarget(context, project);
}

/** Returns the project of a path. Adds the project if it is new, as `submit` does. */
async function projectTarget({ longhaul, services }: CommandContext, path: string): Promise<RuleTarget> {
  const { id } = await projectAt(longhaul.sql, resolve(path), services.settings.projectRoots);
  return { projectId: id };
}

function print({ json }: Options, value: unknown, text: string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
}
