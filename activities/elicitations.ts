/**
 * Answers the elicitations of an agent: forms, and addresses to open. Only a person answers them, because a policy
 * cannot fill in a form. So the policy `allow` cancels an elicitation and never accepts it.
 *
 * Must never happen: an agent gets an answer that does not fit its form, whichever program wrote the row.
 */
import type { ElicitationAsk, ElicitationDecision } from '../agents/driver.ts';
import { elicitationOptions, type Elicitation } from '../contract/elicitation.ts';
import { becauseOfRule, decisionOf, type RuleDecision, type RuleEffect } from '../contract/permission-rules.ts';
import type { ToolCall } from '../contract/vocabulary.ts';
import { formAnswer } from '../frames/form-answer.ts';
import { rulesOfTask } from '../store/permission-rules.ts';
import type { PermissionRow } from '../store/permissions.ts';
import type { TurnTask } from '../store/turn-task.ts';
import type { PermissionContext, AskPerson } from './ask-person.ts';

/** The beginning of each warning about an elicitation that was not answered. */
export const NOT_ANSWERED = 'Not answered';

/** The description of an elicitation that rules are compared with. A rule matches it by the tool kind `elicitation`. */
const SUBJECT = { tool_kind: 'elicitation', parts: [{ type: 'other' as const }], besides: [] };

/**
 * Returns whether an elicitation would be shown to a person now. Only then does the driver tell the agent that
 * elicitations are supported.
 */
export async function asksPerson({ deps, task }: Pick<PermissionContext, 'deps' | 'task'>): Promise<boolean> {
  return (await effectFor({ deps, task })).effect === 'ask';
}

/**
 * Returns what a rule or the policy decides about an elicitation. If the decision is `allow`, a person is asked under
 * the policy `ask` only, because only a person can answer.
 */
async function effectFor({ deps, task }: Pick<PermissionContext, 'deps' | 'task'>): Promise<RuleDecision> {
  const decided = decisionOf(await rulesOfTask(deps.sql, task.id), SUBJECT, task.permission_policy);
  const asks: RuleEffect = task.permission_policy === 'ask' ? 'ask' : 'allow';
  return decided.effect === 'allow' ? { effect: asks } : decided;
}

/** Returns the function that answers the elicitations of a turn. */
export function elicitationAnswers(
  asking: PermissionContext,
  askPerson: AskPerson,
): (ask: ElicitationAsk) => Promise<ElicitationDecision> {
  return async (ask) => {
    const { task, recorder } = asking;
    const warn = (because: string, more = ''): void =>
      recorder.record({ kind: 'warning', message: `${NOT_ANSWERED}, ${because}: ${ask.elicitation.message}${more}` });
    const decided = await effectFor(asking);
    if (decided.effect !== 'ask') {
      warn(becauseOf(task, decided));
      return { action: decided.effect === 'deny' ? 'decline' : 'cancel' };
    }
    const answer = await askPerson({
      hash: ask.hash,
      kind: 'elicitation',
      title: ask.elicitation.message,
      toolCall: ask.toolCall ?? questionCall(ask),
      options: elicitationOptions(ask.elicitation),
      elicitation: ask.elicitation,
      defaultOption: defaultOf(task, ask.elicitation),
    });
    if (answer.kind === 'none') return { action: 'cancel' };
    if (answer.kind !== 'chosen') {
      warn(
        answer.kind === 'expired' ? 'because no answer came in time' : 'because another program withdrew the request',
      );
      return { action: 'cancel' };
    }
    return decisionIn(ask.elicitation, answer.row, warn);
  };
}

function becauseOf({ permission_policy: policy }: TurnTask, { rule }: RuleDecision): string {
  return rule ? becauseOfRule(rule) : `because the task's permission policy is "${policy}" and no person is asked`;
}

/** Returns a tool call for an elicitation that names none, because readers of frames and rows expect a tool call. */
function questionCall({ elicitation, hash }: ElicitationAsk): ToolCall {
  const id = `elicitation-${hash.slice(0, 16)}`;
  return { tool_call_id: id, title: elicitation.message, kind: 'other', status: 'pending', locations: [], content: [] };
}

/**
 * Returns the answer after the timeout. The default `allow` accepts a form only if the defaults of its fields are a
 * valid answer. The default `allow` never accepts an address.
 */
function defaultOf({ permission_default: byDefault }: TurnTask, elicitation: Elicitation): string {
  if (byDefault !== 'allow') return 'decline';
  return elicitation.mode === 'form' && formAnswer(elicitation, {}).kind === 'valid' ? 'accept' : 'cancel';
}

function decisionIn(
  elicitation: Elicitation,
  { chosen, content, answered_by: by }: PermissionRow,
  warn: (because: string, more?: string) => void,
): ElicitationDecision {
  if (chosen === 'accept') {
    if (elicitation.mode === 'url') return { action: 'accept' };
    const checked = formAnswer(elicitation, content ?? {});
    if (checked.kind === 'valid') return { action: 'accept', content: checked.content };
    warn('because the stored answer does not fit the form', ` (${checked.parts.map(partText).join('; ')})`);
    return { action: 'cancel' };
  }
  warn(by === 'timeout' ? 'because no answer came in time' : `the answer was ${String(chosen)}`);
  return { action: chosen === 'decline' ? 'decline' : 'cancel' };
}

const partText = ({ pointer, detail }: { pointer: string; detail: string }): string => `${pointer || '/'}: ${detail}`;
