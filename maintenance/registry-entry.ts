/**
 * Reads an entry of the public registry of ACP agents (github.com/agentclientprotocol/registry, `agent.json`), or the
 * whole registry, from a file or an address. Longhaul installs nothing. `npx` and `uvx` fetch their package when the
 * agent starts. If an agent is distributed as a binary, the user unpacks it and names its program.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { AgentEntry } from '../agents/profiles/settings-schema.ts';
import { LonghaulError, messageOf } from '../contract/errors.ts';

const FETCH_MS = 30_000;
/** The maximum size of the text. The whole registry has some 100 KB. */
const MAX_BYTES = 8 * 1024 * 1024;

const launch = { args: z.array(z.string()).optional(), env: z.record(z.string(), z.string()).optional() };
const packaged = z.object({ package: z.string().min(1), ...launch });
const agent = z.object({
  id: z.string().regex(/^[a-z][a-z0-9-]*$/, 'expected lowercase letters, digits and hyphens'),
  name: z.string().min(1),
  distribution: z.object({
    npx: packaged.optional(),
    uvx: packaged.optional(),
    binary: z.record(z.string(), z.object({ cmd: z.string().min(1), ...launch })).optional(),
  }),
});
type RegistryAgent = z.infer<typeof agent>;
const registry = z.object({ agents: z.array(z.looseObject({ id: z.string() })) });

export interface RegistrySource {
  /** The path of a file, or an address that begins with http:// or https://. */
  readonly source: string;
  /** The id of the agent, by which its entry is found if the source is the whole registry. */
  readonly name: string;
  /** The path of the unpacked program, if the agent is distributed as a binary. */
  readonly path: string | undefined;
}

/**
 * Returns the agent's entry for the settings file. Fails with `invalid_input`; the message has one line for each wrong
 * field.
 */
export async function readRegistryEntry({ source, name, path }: RegistrySource): Promise<AgentEntry> {
  const json = parse(source, await textOf(source));
  const list = registry.safeParse(json);
  const one = list.success ? list.data.agents.find(({ id }) => id === name) : json;
  if (one === undefined) {
    const ids = list.data?.agents.map(({ id }) => id).join(', ') ?? '';
    throw invalid(`${source}: expected an agent with the id ${JSON.stringify(name)}, found ${ids || 'none'}.`);
  }
  const parsed = agent.safeParse(one);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path: field, message }) => `${source}: ${field.join('.') || 'the entry'}: ${message.replace(/^Invalid input: /, '')}`); // prettier-ignore
    throw invalid(lines.join('\n'));
  }
  return settingsOf(parsed.data, { source, path });
}

function settingsOf(
  { id, name, distribution }: RegistryAgent,
  { source, path }: Omit<RegistrySource, 'name'>,
): AgentEntry {
  const { npx, uvx, binary } = distribution;
  const label = { label: name };
  const platform = `${process.platform}-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`;
  const program = binary?.[platform];
  if (path !== undefined) return { ...label, command: path, ...launchOf(program ?? npx ?? uvx ?? {}) };
  if (npx) return { ...label, command: 'npx', ...launchOf(npx, ['--yes', npx.package]) };
  if (uvx) return { ...label, command: 'uvx', ...launchOf(uvx, [uvx.package]) };
  if (program) {
    throw invalid(`${source}: ${id} is distributed as a program (${program.cmd}): unpack it and name its file with --path.`); // prettier-ignore
  }
  const offered = Object.keys(binary ?? {}).join(', ') || 'none';
  throw invalid(`${source}: distribution: expected npx, uvx or a binary for ${platform}, found ${offered}.`);
}

function launchOf(
  { args = [], env }: { args?: string[] | undefined; env?: Record<string, string> | undefined },
  first: readonly string[] = [],
): Pick<AgentEntry, 'args' | 'env'> {
  return { args: [...first, ...args], ...(env && { env }) };
}

async function textOf(source: string): Promise<string> {
  if (!/^https?:\/\//.test(source)) {
    return readFile(source, 'utf8').catch((error: unknown) => {
      throw invalid(`${source}: expected a file that can be read, found: ${messageOf(error)}`);
    });
  }
  try {
    const response = await fetch(source, { signal: AbortSignal.timeout(FETCH_MS) });
    if (!response.ok) throw invalid(`${source}: expected the status 200, found ${response.status}.`);
    const text = await response.text();
    if (text.length > MAX_BYTES) throw invalid(`${source}: expected at most 8 MB, found more.`);
    return text;
  } catch (error) {
    if (error instanceof LonghaulError) throw error;
    throw invalid(`${source}: expected an answer within ${FETCH_MS / 1_000} s, found: ${messageOf(error)}`);
  }
}

function parse(source: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(`${source}: expected JSON, found: ${messageOf(error)}`);
  }
}

const invalid = (message: string): LonghaulError => new LonghaulError('invalid_input', message);
