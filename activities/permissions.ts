/**
 * Answers an agent's permission requests: at once by a rule or by the task's policy, or with the answer of a person
 * (ask-person.ts).
 */
import { agentsOption, alwaysRules, shownOptions } from '../agents/always.ts';
import type { PermissionAsk, PermissionDecision } from '../agents/driver.ts';
import { decideByPolicy, policyFor } from '../agents/permission-policy.ts';
import { subjectOf } from '../agents/rule-subject.ts';
import { rulesOfTask } from '../store/permission-rules.ts';
import type { TurnTask } from '../store/turn-task.ts';
import { becauseOfRule, decisionOf, type RuleDecision, type RuleSubject } from '../contract/permission-rules.ts';
import { commandOf } from '../contract/tool-command.ts';
import { type PermissionContext, type AskPerson, personAsker } from './ask-person.ts';
import { folderOf } from './task-folder.ts';

export function permissionAnswers(
  asking: PermissionContext,
  askPerson: AskPerson = personAsker(asking),
): (ask: PermissionAsk) => Promise<PermissionDecision> {
  return async (ask) => {
    const { task, recorder } = asking;
    const { subject, decided } = await decideNow(asking, ask);
    if (decided.effect === 'ask') return personsDecision(asking, ask, { subject, askPerson });
    const decision = decideByPolicy(decided.effect, ask);
    // The warning is needed because some agents end their turn without a word about the refusal.
    if (decided.effect === 'deny' || decision.kind === 'cancelled') {
      recorder.record({ kind: 'warning', message: `${notAllowed(task, decided)}: ${titleOf(ask)}` });
    }
    return decision;
  };
}

/**
 * Decides the request by the present rules and the task's policy. The rules are read for each request, so that a new
 * rule counts at once.
 */
async function decideNow(
  { deps, task, taken }: PermissionContext,
  ask: PermissionAsk,
): Promise<{ subject: RuleSubject; decided: RuleDecision }> {
  const folder = folderOf(task, { worktreesDir: deps.worktreesDir, sessionId: taken.sessionId });
  const [rules, subject] = await Promise.all([rulesOfTask(deps.sql, task.id), subjectOf(ask, folder.path)]);
  return { subject, decided: decisionOf(rules, subject, policyFor(task, ask)) };
}

function notAllowed({ permission_policy: policy, mode_id: mode }: TurnTask, { rule }: RuleDecision): string {
  if (rule) return `${NOT_ALLOWED}, ${becauseOfRule(rule)}`;
  return policy === 'deny'
    ? `${NOT_ALLOWED}, because the task's permission policy is "${policy}"`
    : `${NOT_ALLOWED}, because the task's mode is ${mode ?? 'the default'} and the agent offers no way to allow once`;
}

/**
 * The beginning of each warning about a refusal. A colon and the request's title follow. The task's summary repeats the
 * titles.
 */
export const NOT_ALLOWED = 'Not allowed';
const NO_ANSWER = `${NOT_ALLOWED} (no answer in time)`;
const WITHDRAWN = `${NOT_ALLOWED} (another program withdrew the request)`;

interface Persons {
  readonly subject: RuleSubject;
  readonly askPerson: AskPerson;
}

async function personsDecision(
  { task, recorder }: PermissionContext,
  ask: PermissionAsk,
  { subject, askPerson }: Persons,
): Promise<PermissionDecision> {
  const always = alwaysRules(subject);
  const fallback = decideByPolicy(task.permission_default === 'allow' ? 'allow' : 'deny', ask);
  const answer = await askPerson({
    hash: ask.hash,
    kind: ask.toolCall.kind === 'switch_mode' ? 'plan' : 'tool',
    title: titleOf(ask),
    toolCall: ask.toolCall,
    options: shownOptions(ask.options, always),
    always,
    defaultOption: fallback.kind === 'selected' ? fallback.optionId : undefined,
  });
  if (answer.kind === 'none') return { kind: 'cancelled' };
  if (answer.kind !== 'chosen') {
    const because = answer.kind === 'expired' ? NO_ANSWER : WITHDRAWN;
    recorder.record({ kind: 'warning', message: `${because}: ${titleOf(ask)}` });
    return { kind: 'cancelled' };
  }
  const chosen = agentsOption(ask.options, answer.option);
  if (chosen === undefined) return { kind: 'cancelled' };
  if (chosen.kind.startsWith('reject')) {
    const because = answer.row.answered_by === 'timeout' ? NO_ANSWER : `${NOT_ALLOWED} (the answer was no)`;
    recorder.record({ kind: 'warning', message: `${because}: ${titleOf(ask)}` });
  }
  return { kind: 'selected', optionId: chosen.option_id };
}

/** Returns the title, with the full command if the call has one, because a title alone may omit the important part. */
function titleOf({ toolCall }: PermissionAsk): string {
  const { title } = toolCall;
  const command = commandOf(toolCall);
  return command !== undefined && !title.includes(command) ? `${title}: ${command}` : title;
}
