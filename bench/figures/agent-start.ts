/** Measures the time from the spawn of one of our agents to its first session, in pairs with the demo agent. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Bench, type BenchOptions, repetitions } from '../bench.ts';
import { sessionReadyMs } from '../acp-peer.ts';
import type { Line, Outcome } from '../report.ts';
import { measurePairs, paired } from '../statistics.ts';

/** The target: an agent may take at most this many times as long as the demo agent. */
const AT_MOST = 1.5;

export const agentStart: Bench = {
  name: 'agent-start',
  about: 'spawn → response of session/new, of the agents of ours beside the demo agent',
  stage: 'none',
  async run(options: BenchOptions): Promise<Outcome> {
    const folder = await mkdtemp(path.join(tmpdir(), 'longhaul-bench-'));
    const ready = (agent: string, ...args: string[]) => {
      const main = path.join(options.dist, 'agents', agent, 'main.js');
      const env = { PATH: process.env['PATH'], HOME: folder };
      return () => sessionReadyMs({ command: process.execPath, args: [main, ...args], cwd: folder, env });
    };
    try {
      const n = repetitions(options, { full: 30, quick: 2 });
      const sessions = path.join(folder, 'n');
      // The terminal adapter does not start its program before the prompt, so any executable file will do.
      const launch = JSON.stringify({ agent: 'codex', file: process.execPath });
      const agents = { native: ['--sessions', sessions], terminal: [launch] };
      const lines: Line[] = [];
      for (const [agent, args] of Object.entries(agents)) {
        const pairs = await measurePairs(n, { a: ready(agent, ...args), b: ready('demo') });
        lines.push(...linesOf(agent, pairs));
      }
      return { conditions: ['from the build; no model provider is configured'], lines };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

function linesOf(agent: string, pairs: Parameters<typeof paired>[0]): Line[] {
  const { a, b, ratio } = paired(pairs);
  const n = pairs.length;
  return [
    { what: `${agent}: spawn → session/new`, n, unit: 'ms', figures: { ...a } },
    { what: `demo, beside ${agent}: the same`, n, unit: 'ms', figures: { ...b } },
    {
      what: `${agent} / demo, pair by pair`,
      n,
      unit: '×',
      figures: { p50: ratio },
      target: { figure: 'p50', atMost: AT_MOST },
    },
  ];
}
