/**
 * Handles the answer "always" to a permission request: Longhaul stores rules for the session or the project. The agent
 * itself gets its option "allow once", because with some agents "always" affects later tasks (codex stores it in its
 * home), and no user of Longhaul would see that.
 */
import { head } from '../contract/cut-text.ts';
import { ALWAYS_SCOPES, alwaysOption, isAlwaysOption, scopeOfOption } from '../contract/permission-answer.ts';
import type { RuleMatch, RuleSubject } from '../contract/permission-rules.ts';
import { commandPattern, exactPattern } from '../contract/shell-words.ts';
import type { PermissionOption } from '../contract/vocabulary.ts';
import { exactGlob } from '../contract/wildcards.ts';

const NAME_LIMIT = 160;

/**
 * Returns the rules that allow an equal request again, and no other request. Returns `undefined` if rules cannot
 * express the request.
 */
export function alwaysRules({ tool_kind, parts, text }: RuleSubject): RuleMatch[] | undefined {
  const rules = new Map<string, RuleMatch>();
  for (const part of parts) {
    if (part.type === 'other') return undefined;
    const said = part.type === 'path' ? pathRule(part.inside) : commandRule(part.words, text);
    if (said === undefined) return undefined;
    rules.set(said, {
      tool_kind,
      path_glob: part.type === 'path' ? said : null,
      command_pattern: part.type === 'path' ? null : said,
    });
  }
  return rules.size > 0 ? [...rules.values()] : undefined;
}

const pathRule = (inside: string | undefined): string | undefined =>
  inside === undefined || inside === '' ? undefined : exactGlob(inside);

/**
 * Returns the command pattern of a rule that allows only this command. Without `words` the rule contains the whole
 * text, but only if the text cannot be parsed as a pattern: a rule compares such a text literally. Otherwise returns
 * `undefined`.
 */
const commandRule = (words: readonly string[] | undefined, text: string | undefined): string | undefined =>
  words ? exactPattern(words) : text !== undefined && commandPattern(text) === undefined ? text : undefined;

/**
 * Returns the options that a person sees. Options that allow come first, because some agents list a refusal first. If
 * the agent offers an "allow once", its own "always" options are removed, and Longhaul's "always" options are added
 * when `rules` can express the request.
 */
export function shownOptions(
  options: readonly PermissionOption[],
  rules: readonly RuleMatch[] | undefined,
): readonly PermissionOption[] {
  return offered(options, rules).toSorted((a, b) => Number(isRefusal(a)) - Number(isRefusal(b)));
}

const isRefusal = ({ kind }: PermissionOption): boolean => kind.startsWith('reject');

function offered(options: readonly PermissionOption[], rules: readonly RuleMatch[] | undefined) {
  const once = options.some(({ kind }) => kind === 'allow_once');
  if (!once || options.some(({ option_id: id }) => isAlwaysOption(id))) return options;
  const agents = options.filter(({ kind }) => kind !== 'allow_always');
  if (!rules) return agents;
  const what = rules.map((rule) => rule.path_glob ?? rule.command_pattern ?? '').join(' · ');
  const ours = ALWAYS_SCOPES.map((scope) => ({
    option_id: alwaysOption(scope),
    name: head(`Allow always in this ${scope}: ${what}`.replaceAll(/\s+/g, ' '), NAME_LIMIT),
    kind: 'allow_always' as const,
  }));
  return [...agents, ...ours];
}

/**
 * Returns the agent's option for the chosen answer, or `undefined` if the agent offers no such option. An "always"
 * option of ours becomes the agent's "allow once".
 */
export function agentsOption(options: readonly PermissionOption[], chosen: string): PermissionOption | undefined {
  const own = options.find((option) => option.option_id === chosen);
  return own ?? (scopeOfOption(chosen) ? options.find(({ kind }) => kind === 'allow_once') : undefined);
}
