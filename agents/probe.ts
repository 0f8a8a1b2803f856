/**
 * Runs a probe: starts an agent, creates a session in a folder, reads what the agent offers, and ends the agent with
 * all its processes.
 *
 * A probe never prompts the agent, so it makes no model call. The session is deleted if the agent offers to delete
 * sessions. Not covered: an agent that stores each new session in a list of its own, and cannot delete one, gets one
 * more entry.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  AgentMode,
  AgentModel,
  AgentOffer,
  ProbeReport,
  ProbeResult,
  SnapshotCommand,
  ThinkingOption,
} from '../contract/agent-snapshot.ts';
import { CHOICE_NAMES } from '../contract/agent-snapshot.ts';
import { LonghaulError } from '../contract/errors.ts';
import type { TaskId } from '../contract/ids.ts';
import { deferred } from '../contract/promises.ts';
import type { AgentCommand } from '../contract/vocabulary.ts';
import { cleanText } from './acp/text.ts';
import type { AgentSession, OfferedChoice, OpenAgent, RunningAgent } from './driver.ts';
import type { AgentLaunch, LaunchRequest } from './launch/launch.ts';
import type { AgentRegistry } from './launch/registry.ts';
import type { AgentProcess } from './process/spawn.ts';
import { knownProfile } from './profiles/catalog.ts';
import { modeRisk } from './profiles/mode-risks.ts';
import { terminalProfile } from './terminal/profiles/known.ts';

/**
 * How long the probe waits for the agent's commands. They arrive in an update after the session was created; an agent
 * without commands sends no update.
 */
const COMMANDS_MS = 1_500;
/**
 * The probe selects the models one after another, because the thinking options depend on the model. The probe stops
 * after this number of models, or after the time in the next constant.
 */
const MODELS_ASKED = 16;
const MODELS_MS = 5_000;
const STDERR_CHARS = 4_000;

type ProcessView = Pick<AgentProcess, 'exited' | 'stderrTail'>;

export interface ProbeRequest extends LaunchRequest {
  readonly name: string;
  /** Absolute real path. It becomes the agent's working directory. */
  readonly cwd: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Starts the agent, reads what it offers, and ends it. Rejects only if `signal` aborts; any failure of the agent
 * becomes a result.
 */
export async function probeAgent(registry: AgentRegistry, request: ProbeRequest): Promise<ProbeResult> {
  let launch: AgentLaunch | undefined;
  let process: ProcessView | undefined;
  const install_hint = hintOf(request);
  try {
    launch = registry.launch(request);
    const offer = await offerOf(registry, { ...request, launch, onProcess: (one) => (process = one) });
    return { status: 'ready', offer, report: await reportOf(launch, process), install_hint };
  } catch (error) {
    if (request.signal.aborted || !(error instanceof LonghaulError)) throw error;
    const { code, message } = error;
    return {
      status: code === 'agent_not_installed' ? 'unavailable' : 'error',
      code,
      message,
      auth: code === 'agent_needs_login' ? 'required' : 'unknown',
      report: launch ? await reportOf(launch, process) : null,
      install_hint,
    };
  }
}

function hintOf({ path, name }: ProbeRequest): string | null {
  const usual = path === 'acp' ? knownProfile(name)?.acp : path === 'pty' ? terminalProfile(name) : undefined;
  return usual?.installHint ?? null;
}

interface ProbeOf extends ProbeRequest {
  readonly launch: AgentLaunch;
  readonly onProcess: (process: ProcessView) => void;
}

/** Starts an agent that belongs to no task. All of its permission requests are cancelled. */
export function openProbed(
  registry: AgentRegistry,
  probe: Omit<ProbeOf, 'onProcess'> & Pick<OpenAgent, 'onEvent' | 'onProcess'>,
): Promise<RunningAgent> {
  const { launch, cwd, env, signal, timeoutMs, onEvent, onProcess } = probe;
  return registry.open({
    launch,
    // A new id that no task has. It marks the processes of the probe.
    taskId: randomUUID() as string as TaskId,
    cwd,
    env,
    timeouts: { startMs: timeoutMs, stallMs: timeoutMs, toolMs: timeoutMs },
    signal,
    ...(onProcess && { onProcess }),
    onSpawn: async () => {},
    onEvent,
    onPermission: async () => ({ kind: 'cancelled' }),
  });
}

async function offerOf(registry: AgentRegistry, probe: ProbeOf): Promise<AgentOffer> {
  const { path, name, launch } = probe;
  const commands = deferred<readonly AgentCommand[]>();
  const agent = await openProbed(registry, {
    ...probe,
    onEvent: (event) => void (event.kind === 'commands' && commands.resolve(event.commands)),
  });
  try {
    const session = await agent.newSession({});
    // The probe waits for commands only on the path acp, because our own programs (native agent, terminal adapter) send
    // none.
    const none = path === 'acp' ? sleep(COMMANDS_MS, [] as const) : [];
    const [models, offered] = await Promise.all([modelsOf(session), Promise.race([commands.promise, none])]);
    await agent.deleteSession?.(session.id).catch(() => {});
    return describe({ name, path, launch, agent, session, models: chosenModels(models, launch), commands: offered });
  } finally {
    await agent.close();
  }
}

/** Returns the models that the agent's settings name, in the order and with the labels of the settings. */
function chosenModels(models: readonly AgentModel[], { models: wanted }: AgentLaunch): readonly AgentModel[] {
  if (wanted === undefined) return models;
  return wanted.flatMap(({ id, label }) => {
    const found = models.find((model) => model.id === id);
    return found ? [{ ...found, label }] : [];
  });
}

interface Probed extends Pick<ProbeOf, 'name' | 'path' | 'launch'> {
  readonly agent: RunningAgent;
  readonly session: AgentSession;
  readonly models: readonly AgentModel[];
  readonly commands: readonly AgentCommand[];
}

function describe({ name, path, launch, agent, session, models, commands }: Probed): AgentOffer {
  const offers = session.offers();
  const { title, version, images, loginMethods } = agent.about;
  const isOwnProgram = path === 'pty';
  return {
    label: launch.label ?? (isOwnProgram || title === '' ? name : title),
    version: isOwnProgram || version === '' ? null : version,
    // An agent that needs a login refuses to create a session (ACP). For the path pty the agent's own program was not
    // started, so its login state is unknown.
    auth: isOwnProgram ? 'unknown' : path === 'native' && models.length === 0 ? 'required' : 'ok',
    models,
    modes: modesOf(launch.base ?? name, offers.mode),
    thinking_options: models.length === 0 ? (thinkingOf(offers.thinking) ?? []) : [],
    commands: commands.map(commandOf),
    accepts_any: CHOICE_NAMES.filter((choice) => offers[choice]?.takesAny === true),
    capabilities: { resume: agent.resume !== undefined, images, login_methods: loginMethods },
  };
}

/**
 * Returns the models, each with its thinking options where the agent responds in time. Afterwards another model may be
 * selected in the session.
 */
async function modelsOf(session: AgentSession): Promise<AgentModel[]> {
  const first = session.offers();
  const values = first.model?.values ?? [];
  const current = first.model?.current;
  const deadline = performance.now() + MODELS_MS;
  const models: AgentModel[] = [];
  for (const { id, label } of values) {
    const isDefault = id === current;
    const asks = values.length <= MODELS_ASKED && performance.now() < deadline && first.model?.takesAny !== true;
    const thinking = isDefault ? thinkingOf(first.thinking) : asks ? await thinkingWith(session, id) : null;
    models.push({ id, label, is_default: isDefault, thinking_options: thinking });
  }
  return models;
}

/** Returns `null` if the agent refuses the model, because its thinking options are then unknown. */
async function thinkingWith(session: AgentSession, model: string): Promise<ThinkingOption[] | null> {
  try {
    await session.choose({ model });
    return thinkingOf(session.offers().thinking);
  } catch (error) {
    if (error instanceof LonghaulError && error.code === 'option_not_available') return null;
    throw error;
  }
}

const thinkingOf = (offered: OfferedChoice | undefined): ThinkingOption[] =>
  (offered?.values ?? []).map(({ id, label }) => ({ id, label, is_default: id === offered?.current }));

const modesOf = (agent: string, offered: OfferedChoice | undefined): AgentMode[] =>
  (offered?.values ?? []).map(({ id, label, description, risk }) => ({
    id,
    label,
    description,
    risk: modeRisk(agent, id, risk),
    is_default: id === offered?.current,
  }));

const commandOf = ({ name, description, argument_hint: hint }: AgentCommand): SnapshotCommand => ({
  name,
  description,
  argument_hint: hint ?? null,
  source: 'agent',
});

async function reportOf(launch: AgentLaunch, process: ProcessView | undefined): Promise<ProbeReport> {
  // The driver has ended the process, so the process has exited or will exit within the second that is waited here.
  const exit = await Promise.race([process?.exited, sleep(1_000, undefined)]);
  return {
    command: launch.program === undefined ? [launch.command, ...launch.args] : [launch.program],
    exit_code: exit?.code ?? null,
    signal: exit?.signal ?? null,
    stderr: cleanText(process?.stderrTail() ?? '').slice(-STDERR_CHARS),
  };
}
