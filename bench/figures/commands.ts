/** Measures how long a command takes, in units of the start time of Node itself. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, type BenchOptions, repetitions } from '../bench.ts';
import type { Line, Outcome } from '../report.ts';
import type { Stage } from '../stage.ts';
import { median } from '../statistics.ts';

const CHECKOUT = fileURLToPath(new URL('../../bin/longhaul.js', import.meta.url));
/** The targets: `atMost` is the most times the duration of `node -e 0` that a command may take. */
const COMMANDS: readonly (readonly [words: readonly string[], atMost: number])[] = [
  [['--help'], 3],
  [['ls'], 6],
  [['status'], 6],
  [['completion', 'bash'], 4],
];

export const commands: Bench = {
  name: 'commands',
  about: 'commands beside `node -e 0`, from the checkout and from the build alone',
  stage: 'usual',
  async run(stage: Stage, options: BenchOptions): Promise<Outcome> {
    const programs = [
      ['checkout', CHECKOUT],
      ['build', path.join(options.dist, 'cli', 'main.js')],
    ] as const;
    const runs = repetitions(options, { full: 15, quick: 2 });
    const lines = programs.flatMap(([from, program]) =>
      COMMANDS.map(([words, atMost]): Line => {
        const ratios = Array.from({ length: runs }, () => {
          const node = startMs(['-e', '0'], stage.env);
          return startMs([program, ...words], stage.env) / node;
        });
        const what = `${from}: longhaul ${words.join(' ')}`;
        return { what, n: runs, unit: '× node', figures: { p50: median(ratios) }, target: { figure: 'p50', atMost } };
      }),
    );
    return { conditions: ['each command is compared with a `node -e 0` right before it; the services run'], lines };
  },
};

function startMs(args: readonly string[], env: NodeJS.ProcessEnv): number {
  const began = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`node ${args.join(' ')} exited with ${status}: ${stderr}`);
  return performance.now() - began;
}
