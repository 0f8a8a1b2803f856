/**
 * Checks the choices of a task (model, mode, thinking option) against what its agent offers, before the task is
 * accepted. A choice is refused only if a probe that is not stale has found what the agent offers, and the choice is
 * not in this offer.
 *
 * Not covered: rows that other programs insert. The agent of such a task refuses a choice that it does not offer
 * (`option_not_available`).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentOffer, ChoiceName, ThinkingOption } from '../contract/agent-snapshot.ts';
import { head } from '../contract/cut-text.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { ProjectId } from '../contract/ids.ts';
import { type AgentSnapshot, agentSnapshots } from '../store/agent-snapshots.ts';
import type { Sql } from '../store/sql.ts';
import type { Client } from '@temporalio/client';
import { askForProbes } from './agent-snapshots.ts';

/** How long a submission waits for a probe, if no snapshot of the agent exists or the snapshot is stale. */
const COLD_MS = 5_000;
const POLL_MS = 100;

export type Choices = Readonly<Partial<Record<ChoiceName, string>>>;

export interface ChoicesOf {
  readonly agent: string;
  readonly projectId: ProjectId;
  readonly choices: Choices;
  /**
   * Whether the task continues a conversation. If it does and names no model, the model of that conversation applies.
   */
  readonly continues: boolean;
}

/**
 * Returns undefined if the agent offers each choice, else a note that says why a choice could not be checked. Fails
 * with `option_not_available`.
 */
export async function checkChoices(
  deps: { readonly sql: Sql; readonly temporal?: Client },
  of: ChoicesOf,
): Promise<string | undefined> {
  if (Object.keys(of.choices).length === 0) return undefined;
  const deadline = performance.now() + COLD_MS;
  let asked = false;
  for (;;) {
    const [snapshot] = await agentSnapshots(deps.sql, { projectId: of.projectId, names: [of.agent] });
    const refusal = snapshot?.offer && snapshot.usable ? refusalOf(snapshot.offer, of) : 'unknown';
    if (refusal === undefined) return undefined;
    if (refusal !== 'unknown' && snapshot?.fresh) throw notOffered(of.agent, refusal);
    if (!asked && snapshot?.stale && deps.temporal) {
      asked = true;
      await askForProbes({ sql: deps.sql, temporal: deps.temporal }, [of.agent], of.projectId).catch(() => {});
      continue;
    }
    if (!isUnderWay(snapshot) || performance.now() > deadline) return uncheckedNote(of, snapshot);
    await sleep(POLL_MS);
  }
}

/**
 * Returns whether a requested probe is still running. An agent that was never probed is also listed as `loading`, but
 * its snapshot is stale.
 */
const isUnderWay = (snapshot: AgentSnapshot | undefined): boolean => snapshot?.status === 'loading' && !snapshot.stale;

const NAMES: Readonly<Record<ChoiceName, string>> = { model: 'model', mode: 'mode', thinking: 'thinking option' };

interface Refusal {
  readonly choice: ChoiceName;
  readonly wanted: string;
  readonly offered: readonly string[];
}

/**
 * Returns the first choice that the agent does not offer. Returns undefined if the agent offers each choice, or if its
 * offer does not list choices of this kind.
 */
export function refusalOf(
  offer: AgentOffer,
  { choices, continues }: Pick<ChoicesOf, 'choices' | 'continues'>,
): Refusal | undefined {
  const refuse = (choice: ChoiceName, values: readonly { readonly id: string }[] | undefined): Refusal | undefined => {
    const wanted = choices[choice];
    if (wanted === undefined || values === undefined || offer.accepts_any.includes(choice)) return undefined;
    const offered = values.map(({ id }) => id);
    return offered.includes(wanted) ? undefined : { choice, wanted, offered };
  };
  return (
    refuse('model', offer.models) ??
    refuse('mode', offer.modes) ??
    refuse('thinking', thinkingOf(offer, { model: choices.model, continues }))
  );
}

/** Returns the thinking options of the model that the task will use. Undefined if they are not known. */
function thinkingOf(
  { models, thinking_options }: AgentOffer,
  { model, continues }: { model: string | undefined; continues: boolean },
): readonly ThinkingOption[] | undefined {
  if (models.length === 0) return thinking_options;
  if (model === undefined && continues) return undefined;
  const found = models.find((one) => (model === undefined ? one.is_default : one.id === model));
  return found?.thinking_options ?? undefined;
}

function notOffered(agent: string, { choice, wanted, offered }: Refusal): LonghaulError {
  const name = NAMES[choice];
  const offers =
    offered.length === 0 ? `it offers no choice of ${name}` : `it offers ${head(offered.join(', '), 1_000)}`;
  return new LonghaulError(
    'option_not_available',
    `${agent} does not offer the ${name} ${JSON.stringify(wanted)}; ${offers}. \`longhaul agents show ${agent}\` shows all.`,
  );
}

function uncheckedNote({ agent, choices }: ChoicesOf, snapshot: AgentSnapshot | undefined): string {
  const what = Object.entries(choices)
    .map(([name, value]) => `${NAMES[name as ChoiceName]} ${JSON.stringify(value)}`)
    .join(', ');
  const why =
    snapshot?.error && !snapshot.usable
      ? `its newest probe failed: ${snapshot.error}`
      : 'it has not said yet what it offers';
  return `Accepted without a check: ${what}. ${agent}: ${why}`;
}
