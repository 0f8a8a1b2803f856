/**
 * The live lines at the bottom of a timeline on a terminal: open tool calls, the plan, the phase with its durations.
 */
import type { Phase, ShownPhase } from '../contract/task.ts';
import type { PlanEntry } from '../contract/vocabulary.ts';
import { planStyle, planLine } from './plan-text.ts';
import type { LiveLine } from './screen.ts';
import { waitText } from './task-text.ts';
import { seconds } from './terminal.ts';
import type { OpenTool } from './timeline-tools.ts';

const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const SPIN_MS = 100;
const PLAN_LINES = 6;

const PHASES: Record<Phase, string> = {
  queued: 'queued',
  preparing: 'preparing the worktree',
  starting: 'starting the agent',
  working: 'working',
  waiting_permission: 'waiting for an answer',
  waiting_limit: "waiting for the provider's limit to be lifted",
  collecting: 'collecting the changes',
  cleaning: 'cleaning up',
};

export const isPhase = (phase: ShownPhase): phase is Phase => Object.hasOwn(PHASES, phase);

interface Bottom {
  readonly phase: Phase;
  readonly waitsUntil: string | undefined;
  /** The time at which the task was submitted, in milliseconds since the epoch. */
  readonly since: number;
  readonly tokens: number | undefined;
  readonly tools: readonly OpenTool[];
  readonly plan: readonly PlanEntry[];
}

export function bottomLines({ phase, waitsUntil, since, tokens, tools, plan }: Bottom): LiveLine[] {
  const now = Date.now();
  const open = tools.map(({ title, startedAt }): LiveLine => ({
    text: `  ◌ ${title}  ${seconds(now - startedAt)}`,
    style: 'cyan',
  }));
  const spin = SPINNER[Math.floor(now / SPIN_MS) % SPINNER.length] ?? '';
  const facts = [PHASES[phase], seconds(now - since)];
  if (waitsUntil !== undefined) facts.splice(1, 0, waitText(waitsUntil, now));
  if (tokens !== undefined) facts.push(`${tokens} tokens`);
  return [...open, ...planAround(plan), { text: `${spin} ${facts.join(' · ')}`, style: 'dim' }];
}

/** Returns the entries of a long plan that are around the current one. */
function planAround(plan: readonly PlanEntry[]): LiveLine[] {
  const current = Math.max(
    0,
    plan.findIndex((entry) => entry.status !== 'completed'),
  );
  const first = Math.max(0, Math.min(current - 2, plan.length - PLAN_LINES));
  return plan
    .slice(first, first + PLAN_LINES)
    .map((entry) => ({ text: `  ${planLine(entry)}`, style: planStyle(entry) }));
}
