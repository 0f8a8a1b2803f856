/**
 * Rules that answer permission requests before the task's policy. The first rule that matches decides; if a request has
 * several commands or paths, each is decided by itself and the strictest decision counts.
 *
 * Must never happen: a rule that allows something allows more than its words say. So `allow` needs certainty, while
 * `deny` and
 * `ask` also match what only may be meant.
 */
import type { PermissionId, ProjectId, RuleId, SessionId, TaskId } from './ids.ts';
import { commandPattern, matchesWords, possibleCommands } from './shell-words.ts';
import { matchesGlob } from './wildcards.ts';

export const RULE_EFFECTS = ['allow', 'deny', 'ask'] as const;
export type RuleEffect = (typeof RULE_EFFECTS)[number];

/** In the order in which their rules are compared. */
export const RULE_SCOPES = ['task', 'session', 'project'] as const;
export type RuleScope = (typeof RULE_SCOPES)[number];

/** The requests that a rule matches. Fields that are null match everything. */
export interface RuleMatch {
  /** A kind of tool call, as in ACP. */
  readonly tool_kind: string | null;
  /** Relative to the worktree. */
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
  /** The request whose answer made the rule. */
  readonly permission_id: PermissionId | null;
}

/** One thing that a request asks for. */
export type RulePart =
  /** A command. `words`: exactly these run; absent: the text alone does not show what runs. */
  | { readonly type: 'command'; readonly text: string; readonly words?: readonly string[] | undefined }
  /** A path. `inside`: its real path relative to the worktree; absent: it is outside. `named`: as the agent names it. */
  | { readonly type: 'path'; readonly named: string; readonly inside?: string | undefined }
  | { readonly type: 'other' };

export interface RuleSubject {
  readonly tool_kind: string;
  readonly parts: readonly RulePart[];
  /** The command's text, whole: a rule with equal text matches. */
  readonly text?: string | undefined;
  /** Paths of a call that runs a command. Only `deny` and `ask` look at them: a path does not limit what a command does. */
  readonly besides: readonly RulePart[];
}

export interface RuleDecision {
  readonly effect: RuleEffect;
  /** Absent: no rule matched, so the policy decided. */
  readonly rule?: PermissionRule;
}

const STRICTEST: readonly RuleEffect[] = ['deny', 'ask', 'allow'];

/** `rules`: in their order. */
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

/** The rule in words, e.g. `allow command npm test`. */
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
