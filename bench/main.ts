/**
 * `npm run bench`: measures how fast Longhaul is on this machine, with real parts. It fails only if something does not
 * run, never because of a time. Ctrl-C ends and removes everything that was started.
 */
import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Bench, BenchOptions } from './bench.ts';
import { BENCHES } from './figures/all.ts';
import { json, machine, type Outcome, type Result, table } from './report.ts';
import { withStage } from './stages.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

const USAGE = `\
npm run bench -- [options]
  --list        name the benches
  --only NAME   run this one; may be given several times
  --quick       small numbers: does everything run?
  -n COUNT      repetitions of each measurement
  --json FILE   where to write the figures (default: bench/results/<time>.json)
  --dist DIR    measure the build in this folder (default: dist, made anew by npm run bench)
`;

const { values: given } = parseArgs({
  options: {
    list: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    n: { type: 'string', short: 'n' },
    json: { type: 'string' },
    dist: { type: 'string', default: path.join(ROOT, 'dist') },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function chosen(): readonly Bench[] {
  const unknown = given.only.filter((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown.length > 0) throw new Error(`There is no bench ${unknown.join(', ')}. --list names them.`);
  if (given.only.length > 0) return BENCHES.filter(({ name }) => given.only.includes(name));
  return BENCHES.filter(({ onlyByName }) => !onlyByName);
}

function optionsFor(signal: AbortSignal): BenchOptions {
  const n = given.n === undefined ? undefined : Number(given.n);
  if (n !== undefined && !(Number.isInteger(n) && n > 0))
    throw new Error(`-n: expected a number above 0, found ${given.n}`);
  const dist = path.resolve(given.dist);
  if (!existsSync(path.join(dist, 'cli', 'main.js'))) throw new Error(`${dist} holds no build: run npm run build`);
  return { quick: given.quick, n, dist, signal, say };
}

async function timed(name: string, run: () => Promise<Outcome>): Promise<Result> {
  const started = performance.now();
  const outcome = await run();
  const result = { name, seconds: (performance.now() - started) / 1_000, ...outcome };
  say(table(result));
  return result;
}

/** Runs the benches, with one stage for each kind that they need. */
async function runAll(benches: readonly Bench[], options: BenchOptions): Promise<Result[]> {
  const results: Result[] = [];
  for (const bench of benches) {
    if (bench.stage === 'none') results.push(await timed(bench.name, () => bench.run(options)));
  }
  const kinds = new Set(benches.flatMap(({ stage }) => (stage === 'none' ? [] : [stage])));
  for (const kind of kinds) {
    await withStage(kind, options, async (stage) => {
      for (const bench of benches) {
        if (bench.stage === kind) results.push(await timed(bench.name, () => bench.run(stage, options)));
      }
    });
  }
  return results;
}

const commit = (): string =>
  execFileSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT, encoding: 'utf8' }).trim();

const stop = new AbortController();
// Each wait adds a listener, and a bench may wait for twenty things at once, so Node's warning about many listeners is
// off.
setMaxListeners(0, stop.signal);

async function main(): Promise<void> {
  if (given.help) return void process.stdout.write(USAGE);
  if (given.list) return BENCHES.forEach(({ name, about }) => say(`${name.padEnd(12)}${about}`));
  const options = optionsFor(stop.signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stop.abort(new Error(`stopped by ${signal}: nothing was written, nothing of it is left`)));
  }
  // If the reader closes the output (`npm run bench | head`), running parts must still be stopped.
  process.stdout.on('error', () => stop.abort(new Error('stopped, because the reader of the output closed it')));
  const where = machine(commit());
  say(`${where.cpu}, ${where.cores} cores, Linux ${where.linux}, Node ${where.node}, ${where.commit}\n`);
  const results = await runAll(chosen(), options);
  const file = given.json ?? path.join(ROOT, 'bench', 'results', `${where.at.replaceAll(':', '-')}.json`);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, json(where, results));
  say(`written to ${file}`);
}

try {
  await main();
} catch (error) {
  // Work that Ctrl-C interrupted fails with an error of its own, so the reason of the abort is reported.
  const why: unknown = stop.signal.aborted ? stop.signal.reason : error;
  process.stderr.write(`${why instanceof Error ? why.message : String(why)}\n`);
  process.exitCode = 1;
}
