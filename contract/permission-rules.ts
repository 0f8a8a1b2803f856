/**
 * Decides permission requests by rules, before the task's policy applies. The first rule that matches decides. If a
 * request has several commands or paths, each is decided separately and the strictest decision counts.
 *
 * Must never happen: an `allow` rule allows more than its text says. So `allow` matches only what is certain, while
 * `deny` and `ask` also match what the request may possibly mean.
 */
import { type PermissionId, type ProjectId, type RuleId, type SessionId, shortId, type TaskId } from './ids.ts';
import { commandPattern, matchesWords, possibleCommands } from './shell-words.ts';
import { matchesGlob } from './wildcards.ts';

export const RULE_EFFECTS = ['allow', 'deny', 'ask'] as const;
export type RuleEffect = (typeof RULE_EFFECTS)[number];

/** The scopes of rules, in the order in which their rules are compared. */
export const RULE_SCOPES = ['task', 'session', 'project'] as const;
export type RuleScope = (typeof RULE_SCOPES)[number];

/** The requests that a rule matches. A field that is null matches everything. */
export interface RuleMatch {
  /** A kind of tool call, as in ACP. */
  readonly tool_kind: string | null;
  /** A glob of paths relative to the worktree. */
  readonly path_glob: string | null;
  readonly command_pattern: string | null;
}

export interface PermissionRule extends RuleMatch {
  readonly id: RuleId;
  readonly scope: RuleScope;
  readonly effect: RuleEffect;
  readonly task_id: TaskId | null;
  readonly session_id: SessionId | null;
  readonly project_id: ProjectId | null;
  /** The permission request whose answer "always" created the rule. */
  readonly permission_id: PermissionId | null;
}

/** One command or path that a request asks for. */
export type RulePart =
  /**
   * A command. If `words` is present, a shell runs exactly this command. If `words` is absent, the text alone does not
   * show which programs run.
   */
  | { readonly type: 'command'; readonly text: string; readonly words?: readonly string[] | undefined }
  /**
   * A path. `named` is the path as the agent wrote it. `inside` is its real path relative to the worktree; it is absent
   * if the path is outside.
   */
  | { readonly type: 'path'; readonly named: string; readonly inside?: string | undefined }
  | { readonly type: 'other' };

export interface RuleSubject {
  readonly tool_kind: string;
  readonly parts: readonly RulePart[];
  /** The whole text of the command. A rule with equal text matches it. */
  readonly text?: string | undefined;
  /**
   * The paths of a call that runs a command. Only `deny` and `ask` rules match them, because a path does not limit what
   * a command does.
   */
  readonly besides: readonly RulePart[];
}

export interface RuleDecision {
  readonly effect: RuleEffect;
  /** The rule that decided. Absent: no rule matched, so the policy decided. */
  readonly rule?: PermissionRule;
}

const STRICTEST: readonly RuleEffect[] = ['deny', 'ask', 'allow'];

/** Decides a request. `rules` are in the order in which they are compared. */
export function decisionOf(rules: readonly PermissionRule[], subject: RuleSubject, policy: RuleEffect): RuleDecision {
  const decide = (part: RulePart): RuleDecision => {
    const rule = rules.find((one) => matches(one, subject, part));
    return rule ? { effect: rule.effect, rule } : { effect: policy };
  };
  const besides = subject.besides.map(decide).filter(({ rule }) => rule !== undefined && rule.effect !== 'allow');
  const decisions = [...subject.parts.map(decide), ...besides];
  const found = STRICTEST.flatMap((effect) => decisions.filter((one) => one.effect === effect));
  return found[0] ?? { effect: policy };
}

function matches(rule: PermissionRule, subject: RuleSubject, part: RulePart): boolean {
  if (rule.tool_kind !== null && rule.tool_kind !== subject.tool_kind) return false;
  if (rule.command_pattern !== null) return matchesCommand(rule.command_pattern, { rule, subject, part });
  if (rule.path_glob !== null) return matchesPath(rule.path_glob, { rule, part });
  return true;
}

interface Compared {
  readonly rule: PermissionRule;
  readonly subject: RuleSubject;
  readonly part: RulePart;
}

function matchesCommand(text: string, { rule, subject, part }: Compared): boolean {
  if (part.type !== 'command') return false;
  if (text === subject.text) return true;
  const pattern = commandPattern(text);
  if (!pattern) return false;
  if (part.words && matchesWords(pattern, part.words)) return true;
  if (rule.effect === 'allow') return false;
  const possible = possibleCommands(part.text);
  return possible.some((words) => words.some((_, from) => matchesWords(pattern, words.slice(from))));
}

function matchesPath(glob: string, { rule, part }: Pick<Compared, 'rule' | 'part'>): boolean {
  if (part.type !== 'path') return false;
  if (part.inside !== undefined && matchesGlob(glob, part.inside)) return true;
  return rule.effect !== 'allow' && matchesGlob(glob, part.named);
}

/** The content of a rule without its id: the effect and what the rule matches. */
export interface RuleWords extends RuleMatch {
  readonly effect: RuleEffect;
}

/**
 * Parses the text that `ruleText` returns, e.g. `allow command npm test` or `deny tool edit, path docs/**`. Returns
 * undefined if the text has another form. The values are checked when the rule is added.
 */
export function ruleIn(text: string): RuleWords | undefined {
  const [, effect, kind, type, value] =
    /^\s*(allow|deny|ask)\s+(?:(?:tool|kind)\s+([^\s,]+)\s*(?:,\s*|\s|$))?(?:(path|command)\s+(\S.*?))?\s*$/s.exec(
      text,
    ) ?? [];
  const known = RULE_EFFECTS.find((one) => one === effect);
  if (!known || (kind === undefined && value === undefined)) return undefined;
  return {
    effect: known,
    tool_kind: kind ?? null,
    path_glob: type === 'path' ? (value ?? null) : null,
    command_pattern: type === 'command' ? (value ?? null) : null,
  };
}

/** Returns the rule as text, e.g. `allow command npm test`. */
export function ruleText({
  effect,
  tool_kind: kind,
  path_glob: glob,
  command_pattern: command,
}: RuleMatch & { effect: string }): string {
  const about = [
    ...(kind === null ? [] : [`tool ${kind}`]),
    ...(glob === null ? [] : [`path ${glob}`]),
    ...(command === null ? [] : [`command ${command}`]),
  ];
  return `${effect} ${about.join(', ') || 'everything'}`;
}

/** Returns the reason that a warning names if the rule has decided a request. */
export const becauseOfRule = (rule: PermissionRule): string =>
  `because of the ${rule.scope}'s rule ${shortId(rule.id)} (${ruleText(rule)})`;
