/**
 * Shows what each agent offers, according to its newest probe, in the columns of `longhaul agents`. Implements the
 * subcommands `agents show`, `refresh`, `enable` and `disable`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import {
  agentEntry,
  type AgentEntry,
  diagnoseAgent,
  enableAgent,
  listAgentEntries,
  refreshAgent,
  type SnapshotDeps,
} from '../client/agent-snapshots.ts';
import type { ProjectId } from '../contract/ids.ts';
import { runCommand } from './exit.ts';
import { withLonghaul } from './longhaul.ts';
import type { Cell } from './table.ts';
import { harmless, type Paint, painter, type Style } from './terminal.ts';

/**
 * How long a command waits for the first probe of an agent. If the probe takes longer, the agent is shown as `loading`.
 */
const COLD_MS = 8_000;
const POLL_MS = 200;

interface JsonOption {
  readonly json?: boolean;
}

/**
 * Returns the agents that tasks may name, with what each offers. Waits up to COLD_MS for agents that were never probed.
 */
export async function agentOffers(deps: SnapshotDeps): Promise<Map<string, AgentEntry>> {
  const deadline = performance.now() + COLD_MS;
  for (let first = true; ; first = false) {
    const { entries, refreshed } = await listAgentEntries(deps, null);
    // If Temporal is unavailable no probe starts, and the list shows the stored results.
    if (first) await refreshed().catch(() => {});
    const cold = entries.some((entry) => entry.enabled && entry.status === 'loading' && entry.fetched_at === null);
    if (!cold || performance.now() > deadline) return new Map(entries.map((entry) => [entry.name, entry]));
    await sleep(POLL_MS);
  }
}

/**
 * Returns what one agent offers in the folder of a project, or in an empty folder if `projectId` is null. Waits up to
 * COLD_MS if the agent was never probed there. Fails with `agent_not_found`.
 */
export async function offerOf(deps: SnapshotDeps, name: string, projectId: ProjectId | null): Promise<AgentEntry> {
  const deadline = performance.now() + COLD_MS;
  for (let first = true; ; first = false) {
    const entry = await agentEntry(deps.sql, name, projectId);
    const cold = entry.status === 'loading' && entry.fetched_at === null;
    if (!cold || performance.now() > deadline) return entry;
    if (first) await refreshAgent(deps, name, projectId);
    await sleep(POLL_MS);
  }
}

const STATUS_STYLES: Readonly<Record<AgentEntry['status'], Style>> = {
  ready: 'green',
  loading: 'dim',
  error: 'yellow',
  unavailable: 'dim',
};

function statusCell({ enabled, status, auth, transport }: AgentEntry): Cell {
  if (!enabled) return { text: 'disabled', style: 'yellow' };
  // The native agent has no login: it needs a provider's key or the address of a model server.
  if (auth === 'required') return { text: transport === 'native' ? 'no model' : 'needs a login', style: 'yellow' };
  return { text: status, style: STATUS_STYLES[status] };
}

export const OFFER_TITLES = ['STATUS', 'MODEL', 'MODE'] as const;

/**
 * Returns the cells of the columns OFFER_TITLES: the status, then the default model and the default mode, each with the
 * number of other choices.
 */
export function offerCells(entry: AgentEntry | undefined): Cell[] {
  if (!entry) return OFFER_TITLES.map(() => ({ text: '-', style: 'dim' }));
  return [statusCell(entry), { text: withOthers(entry.models) }, { text: withOthers(entry.modes) }];
}

function withOthers(values: readonly { readonly id: string; readonly is_default: boolean }[]): string {
  const shown = values.find((value) => value.is_default) ?? values[0];
  if (!shown) return '-';
  return values.length === 1 ? harmless(shown.id) : `${harmless(shown.id)} +${values.length - 1}`;
}

export const agentsShowAction = (name: string, _options: unknown, command: Command): Promise<void> => {
  const options: JsonOption = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      const entry = (await agentOffers(longhaul)).get(name);
      const diagnostic = await diagnoseAgent(longhaul.sql, name, null);
      if (!entry) return;
      if (options.json) process.stdout.write(`${JSON.stringify({ ...entry, diagnostic }, undefined, 2)}\n`);
      else process.stdout.write(`${agentText(entry, diagnostic, painter(process.stdout))}\n`);
    }),
  );
};

export const agentsRefreshAction = (name: string, _options: unknown, command: Command): Promise<void> => {
  const options: JsonOption = command.optsWithGlobals();
  return runCommand(options, () =>
    withLonghaul(async ({ longhaul }) => {
      await refreshAgent(longhaul, name, null);
      const entry = await probed(longhaul, name);
      const { advice } = await diagnoseAgent(longhaul.sql, name, null);
      process.stdout.write(`${options.json ? JSON.stringify(entry) : `${name}: ${entry.status}. ${advice}`}\n`);
    }),
  );
};

const makeEnable =
  (enabled: boolean) =>
  (name: string, _options: unknown, command: Command): Promise<void> => {
    const options: JsonOption = command.optsWithGlobals();
    return runCommand(options, () =>
      withLonghaul(async ({ longhaul }) => {
        const entry = await enableAgent(longhaul.sql, name, enabled);
        const sentence = enabled
          ? `${name} is enabled`
          : `${name} is disabled: no new task may name it; \`longhaul agents enable ${name}\` enables it again`;
        process.stdout.write(`${options.json ? JSON.stringify(entry) : sentence}\n`);
      }),
    );
  };
export const agentsEnableAction = makeEnable(true);
export const agentsDisableAction = makeEnable(false);

/**
 * How long a command waits for a probe: the probe's own limit is 30 s, and the other 10 s are for starting the probe.
 */
const PROBED_MS = 40_000;

async function probed(deps: SnapshotDeps, name: string): Promise<AgentEntry> {
  const deadline = performance.now() + PROBED_MS;
  for (;;) {
    const entry = (await listAgentEntries(deps, null)).entries.find((one) => one.name === name);
    if (entry && (entry.status !== 'loading' || performance.now() > deadline)) return entry;
    await sleep(POLL_MS);
  }
}

type Diagnostic = Awaited<ReturnType<typeof diagnoseAgent>>;

function agentText(entry: AgentEntry, diagnostic: Diagnostic, paint: Paint): string {
  const { text, style } = statusCell(entry);
  const title = `${paint('bold', harmless(entry.name))}  ${harmless(entry.label)} ${harmless(entry.version ?? '')}`;
  const facts: [string, string | undefined][] = [
    ['status', style ? paint(style, text) : text],
    ['talks', entry.transport],
    ['login', entry.auth],
    ['models', listText(entry.models.map(modelText))],
    ['thinking', listText(entry.thinking_options.map(valueText))],
    ['modes', listText(entry.modes.map((mode) => `${valueText(mode)} (${mode.risk})`))],
    [
      'commands',
      listText(entry.commands.map((command) => `/${harmless(command.name)}  ${harmless(command.description)}`)),
    ],
    ['resumes', resumeText(entry)],
    ['install', entry.status === 'unavailable' ? harmless(entry.install_hint ?? '') : undefined],
    ['found at', entry.fetched_at ?? undefined],
    ['started as', diagnostic.command.length > 0 ? harmless(diagnostic.command.join(' ')) : undefined],
    ['problem', entry.error === null ? undefined : harmless(entry.error)],
  ];
  const lines = facts.flatMap(([label, value]) => (value ? [`  ${label.padEnd(11)}${value}`] : []));
  return [title.trimEnd(), ...lines].join('\n');
}

function resumeText({ capabilities, verified }: AgentEntry): string | undefined {
  if (!capabilities) return undefined;
  if (!capabilities.resume) return 'no';
  const texts = {
    yes: 'yes (checked: it loaded its session after a kill)',
    no: 'no (checked: it reports that it can, and could not load its session after a kill)',
    unknown: 'it reports that it can (not checked)',
  } as const;
  return texts[verified.resume];
}

const LISTED = 40;
const listText = (values: readonly string[]): string | undefined => {
  if (values.length === 0) return undefined;
  const more = values.length > LISTED ? [`and ${values.length - LISTED} more (--json)`] : [];
  return [...values.slice(0, LISTED), ...more].join(`\n${' '.repeat(13)}`);
};
const valueText = ({ id, is_default }: { readonly id: string; readonly is_default: boolean }): string =>
  `${harmless(id)}${is_default ? ' *' : ''}`;
const modelText = ({ thinking_options: thinking, ...model }: AgentEntry['models'][number]): string => {
  const text = valueText(model);
  return thinking && thinking.length > 0 ? `${text}  thinking: ${thinking.map(valueText).join(', ')}` : text;
};
