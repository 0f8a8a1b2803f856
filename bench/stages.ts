/** Makes the stages that benches request, each with the environment that it needs. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { REAL_AGENTS } from '../test/real-agents/agents.ts';
import { FakeModel } from '../test/real-agents/fake-model.ts';
import { cacheDir, install } from '../test/real-agents/install.ts';
import { PACKAGES } from '../test/real-agents/packages.ts';
import type { BenchOptions, StageKind } from './bench.ts';
import { onStage, type Stage } from './stage.ts';

type Use = (stage: Stage) => Promise<void>;

/** The number of slots in the benches with twenty agents. */
const TWENTY_SLOTS = 24;

/** Returns false if the stage is not available in this run. `say` was then called with the reason. */
export async function withStage(kind: Exclude<StageKind, 'none'>, options: BenchOptions, use: Use): Promise<boolean> {
  const { dist, signal } = options;
  switch (kind) {
    case 'usual':
      await onStage({ dist, signal }, use);
      return true;
    case 'twenty slots':
      await onStage({ dist, signal, slots: TWENTY_SLOTS }, use);
      return true;
    case 'engine':
      await onStage({ dist, signal, supervisor: [ENGINE_SUPERVISOR] }, use);
      return true;
    case 'opencode':
      return withOpencode(options, use);
  }
}

const ENGINE_SUPERVISOR = fileURLToPath(new URL('./engine/supervise.js', import.meta.url));

const opencodeFolder = (): string => path.join(cacheDir(), 'agents', PACKAGES.opencode, 'node_modules', '.bin');

async function withOpencode({ dist, signal, quick, say }: BenchOptions, use: Use): Promise<boolean> {
  if (quick && !existsSync(opencodeFolder())) {
    say('opencode is not installed, and a quick run does not install it: left out\n');
    return false;
  }
  await install(PACKAGES.opencode, { say, cache: cacheDir() });
  const home = await mkdtemp(path.join(tmpdir(), 'longhaul-bench-opencode-'));
  const model = await FakeModel.start();
  model.answer = ({ roles }) =>
    roles.at(-1) === 'tool' ? { kind: 'text', text: 'Done.' } : REAL_AGENTS.opencode.write('written.txt', 'Hello\n');
  const folders = { XDG_DATA_HOME: 'data', XDG_CONFIG_HOME: 'config', XDG_CACHE_HOME: 'cache' };
  const places = Object.entries(folders).map(([name, folder]) => [name, path.join(home, folder)] as const);
  try {
    for (const [, folder] of places) await mkdir(folder);
    const env = {
      ...Object.fromEntries(places),
      HOME: home,
      LONGHAUL_CACHE: cacheDir(),
      NO_PROXY: '127.0.0.1',
      no_proxy: '127.0.0.1',
      PATH: [opencodeFolder(), process.env['PATH']].join(path.delimiter),
      ...REAL_AGENTS.opencode.env({ modelUrl: model.origin, home }),
    };
    await onStage({ dist, signal, env }, use);
    return true;
  } finally {
    await model.stop();
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}
