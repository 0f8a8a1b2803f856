/** `longhaul show`: prints everything about one task. */
import { resolveTaskId } from '../client/task-ids.ts';
import { listRules, type Rule } from '../client/permission-rules.ts';
import { describe, type TaskDescription } from '../client/tasks.ts';
import { isFinal } from '../contract/task.ts';
import { type Attempts, attemptsOf } from './attempts.ts';
import { runCommand } from './exit.ts';
import { ruleLine } from './rules.ts';
import { withLonghaul } from './longhaul.ts';
import { agentOf, changeText, isStopping, leftText, phaseText, STATE_STYLES, timeText } from './task-text.ts';
import { harmless, type Paint, painter } from './terminal.ts';
import { shortId, type TaskId } from '../contract/ids.ts';

export const showAction = (text: string, options: { json?: boolean }) =>
  runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const task = await describe(longhaul, await resolveTaskId(longhaul.sql, text));
      const attempts = await attemptsOf(longhaul, task.id);
      const rules = (await listRules(longhaul, { taskId: task.id })).filter((rule) => wasThere(rule, task));
      const shown = options.json
        ? JSON.stringify({ ...task, attempts: attempts.list, rules }, undefined, 2)
        : taskText(task, { attempts, rules }, painter(process.stdout));
      process.stdout.write(`${shown}\n`);
    }),
  );

/** Returns whether the rule was made before the task ended. A rule that was made later did not apply to the task. */
const wasThere = ({ created_at: made }: Rule, { ended_at: ended }: TaskDescription): boolean =>
  ended === null || Date.parse(made) <= Date.parse(ended);

interface Known {
  readonly attempts: Attempts;
  /** The rules that apply to the task, in the order in which they are compared. */
  readonly rules: readonly Rule[];
}

const onTopOf = (before: TaskId | null): string =>
  before === null ? '' : `, on top of the change of task ${shortId(before)}`;

function taskText(task: TaskDescription, { attempts, rules }: Known, paint: Paint): string {
  const state = paint(STATE_STYLES[task.state] ?? 'dim', harmless(task.state));
  const facts: [string, string | number | null][] = [
    ['task', task.id],
    ['state', isFinal(task.state) ? state : `${state}, ${isStopping(task) ? 'stopping' : phaseText(task.phase)}`],
    ['waits', waitsText(task, Date.now())],
    ['error', task.error_code],
    ['summary', task.output_summary],
    ['agent', agentText(task)],
    ['model', task.model],
    ['mode', task.mode_id],
    ['thinking', task.thinking_option_id],
    ['ran', ranText(task.ran)],
    ['policy', task.permission_policy],
    ['rules', rules.map(ruleLine).join('\n')],
    ['project', task.project_path ?? task.project_name],
    ['session', task.session_id],
    ['created', timeText(task.created_at)],
    ['started', timeText(task.started_at)],
    ['attempts', attempts.text ?? null],
    ['ended', timeText(task.ended_at)],
    ['cancel', cancelText(task)],
    ['tokens', task.cost_tokens],
    ['worktree', task.kept_worktree],
    ['warnings', task.warnings?.join('\n') ?? null],
    ['change', task.change && `${changeText(task.change)}, ${task.change.state}${onTopOf(task.change.builds_on)}`],
    ['workflow', task.workflow_url ?? task.workflow_id],
    ['history', historyText(task.history_kept_until)],
  ];
  const lines = facts
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => `${paint('dim', name.padEnd(9))} ${harmlessFact(String(value))}`);
  const next = task.change
    ? `longhaul diff ${shortId(task.id)}`
    : isFinal(task.state)
      ? undefined
      : `longhaul watch ${shortId(task.id)}`;
  return [...lines, '', indented(harmless(task.input)), ...(next ? ['', next] : [])].join('\n');
}

/** Returns the agent that does the task. If the task names an agent that is not listed, the text names both. */
function agentText(task: TaskDescription): string {
  const agent = agentOf(task);
  const isOther = task.agent !== null && task.agent !== agent;
  return isOther ? `${agent}, because ${task.agent} is not listed (longhaul agents)` : agent;
}

/**
 * Returns until when Temporal keeps the history of a task's run. Returns null if the task has not ended, or if the
 * retention of its Temporal namespace is not known.
 */
function historyText(until: string | null): string | null {
  if (until === null) return null;
  return `Temporal ${Date.parse(until) > Date.now() ? 'keeps' : 'kept'} it until ${until.slice(0, 10)}`;
}

/** Returns the model, mode, thinking option and version that the agent reported. */
function ranText(ran: TaskDescription['ran']): string | null {
  if (!ran) return null;
  const facts = [
    ['model', ran.model],
    ['mode', ran.mode],
    ['thinking', ran.thinking],
    ['version', ran.agent_version],
  ];
  return facts.flatMap(([name, value]) => (value ? [`${name} ${value}`] : [])).join(', ') || null;
}

function cancelText({ cancel_requested_at: requested, cancel_reason: reason }: TaskDescription): string | null {
  if (requested === null) return null;
  return `requested at ${timeText(requested)}${reason ? `: ${reason}` : ''}`;
}

/** Returns until when a task waits, in the format of the other times. */
function waitsText(task: TaskDescription, now: number): string | null {
  const { state, waits_until: until } = task;
  if (until === null || isFinal(state) || isStopping(task)) return null;
  return [`until ${timeText(until)}`, leftText(until, now)].filter(Boolean).join(', ');
}

/**
 * Removes control sequences and indents further lines. A text that begins with our own colour sequence is returned
 * unchanged.
 */
const harmlessFact = (text: string): string =>
  text.startsWith('\u001b')
    ? text
    : harmless(text)
        .trimEnd()
        .replaceAll('\n', `\n${' '.repeat(10)}`);
const indented = (text: string): string =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
