/**
 * Carries out `longhaul agents add`: lists an agent at a user's request, and writes its settings if the request gives
 * any.
 */
import { NATIVE_AGENT } from '../contract/names.ts';
import { LonghaulError } from '../contract/errors.ts';
import { type AgentProfiles, putAgentEntry, withEntry } from '../agents/profiles/profiles.ts';
import { AGENT_NAME, type AgentEntry } from '../agents/profiles/settings-schema.ts';
import { findCommand } from '../agents/process/find-command.ts';
import { terminalProfile } from '../agents/terminal/profiles/known.ts';
import { putAgent } from '../store/available-agents.ts';
import { forgetResumeChecks } from '../store/resume-checks.ts';
import type { Sql } from '../store/sql.ts';
import { requireAcp, whyNoProgram } from './agent-program.ts';
import { profilesOf, type SearchPaths } from './agents.ts';

export interface AgentToAdd {
  readonly name: string;
  /** Absolute path of the program. If it is omitted, the program is searched on PATH. */
  readonly path?: string;
  readonly terminal: boolean;
  /** The agent's entry for the settings file. Undefined if the request gives no settings. */
  readonly entry?: AgentEntry;
}

export interface AddedAgent {
  readonly name: string;
  readonly talks: 'acp' | 'terminal';
  readonly program: string;
  /** The path that the row records. Null if the program is searched on the worker's PATH at each start. */
  readonly install_path: string | null;
}

/** Lists an agent. Fails with `invalid_input` or `agent_not_installed`; the message says what to do. */
export async function addAgent(sql: Sql, toAdd: AgentToAdd, paths: SearchPaths): Promise<AddedAgent> {
  const { name, path, entry } = toAdd;
  refuseName(name);
  const before = profilesOf(paths);
  const settings = entry && { ...entry, ...(toAdd.terminal && { terminal: true }), ...(path && { command: path }) };
  const profiles = settings ? withEntry(before, name, settings) : before;
  const terminal = toAdd.terminal || profiles.known(name)?.terminal !== undefined;
  const { program, installPath } = programOf({ name, path, terminal }, { paths, profiles });
  // The commands of the catalogue speak the protocol, so only other programs are started once to check that they do.
  const isKnown = path === undefined && entry === undefined && profiles.known(name)?.acp !== undefined;
  if (!terminal && !isKnown) await requireAcp(name, { program, env: paths.environment, profiles });
  await sql.begin(async (tx) => {
    // Both statements run in one transaction, so that a refusal changes nothing.
    const installed = settings === undefined ? installPath : null;
    if (!(await putAgent(tx, { name, supports_acp: !terminal, install_path: installed }))) {
      throw invalid(
        `${name} is listed already, by another program: remove that row first with \`longhaul agents remove ${name}\`.`,
      );
    }
    await forgetResumeChecks(tx, name);
    if (settings && paths.settingsFile !== undefined) putAgentEntry(paths.settingsFile, name, settings);
  });
  return { name, talks: terminal ? 'terminal' : 'acp', program, install_path: installPath };
}

function refuseName(name: string): void {
  if (name === NATIVE_AGENT) {
    throw invalid(
      `${NATIVE_AGENT} is the name of Longhaul's own agent, which every task can name: expected another name. ` +
        'Its model is configured with DEFAULT_MODEL (`longhaul agents`).',
    );
  }
  if (AGENT_NAME.test(name)) return;
  throw invalid(`name: expected up to 60 letters, digits, dots, dashes or underscores, found ${JSON.stringify(name)}.`);
}

interface Wanted {
  readonly name: string;
  readonly path: string | undefined;
  readonly terminal: boolean;
}

interface KnownProgram {
  readonly command: string;
  readonly installHint?: string;
}

function programOf(
  { name, path, terminal }: Wanted,
  { paths, profiles }: { paths: SearchPaths; profiles: AgentProfiles },
): { readonly program: string; readonly installPath: string | null } {
  const profile = profiles.known(name);
  const known: KnownProgram | undefined = terminal ? (profile?.terminal ?? terminalProfile(name)) : profile?.acp;
  const command = path ?? known?.command ?? name;
  if (path !== undefined) {
    const found = whyNoProgram(path, paths.worker ?? paths.shell);
    if (found !== undefined) {
      throw new LonghaulError(
        'agent_not_installed',
        `${name}: expected a program at ${path}, found ${found}. Give the path of a program.`,
      );
    }
  }
  const ofWorker = path === undefined ? findCommand(command, paths.worker ?? paths.shell) : undefined;
  if (ofWorker) return { program: ofWorker, installPath: null };
  // The program is on this shell's PATH but not on the worker's. With the absolute path the worker can start it, too.
  const program = findCommand(command, paths.shell);
  if (program) return { program, installPath: program };
  const hint = known?.installHint ?? 'Name its file: --path FILE.';
  throw new LonghaulError(
    'agent_not_installed',
    `${name}: expected the program ${command} on PATH, found none. ${hint}`,
  );
}

const invalid = (message: string): LonghaulError => new LonghaulError('invalid_input', message);
