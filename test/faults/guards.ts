/**
 * Breaks each guard on purpose, in a copy of the tree, and runs the test that must then fail:
 *
 *   node --import tsx test/faults/guards.ts [NAME…]
 *
 * Exit code 1 if a test passes without its guard. Slow: a test that fails often waits for its bound first.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { GUARDS, type Guard } from './guard-list.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const chosen = process.argv.slice(2);
const guards = GUARDS.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
if (guards.length === 0)
  throw new Error(`There is no guard ${chosen.join(', ')}: ${GUARDS.map(({ name }) => name).join(', ')}`);

const copy = await mkdtemp(path.join(tmpdir(), 'longhaul-guards-'));
let unseen = 0;
try {
  // What is committed and what is not: the tree as it stands, without what git ignores.
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT });
  const archive = execFileSync('tar', ['--create', '--null', '--files-from=-'], {
    cwd: ROOT,
    input: files,
    maxBuffer: 2 ** 28,
  });
  execFileSync('tar', ['--extract'], { cwd: copy, input: archive });
  await symlink(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  for (const guard of guards) {
    const seen = await failsWithout(guard);
    if (!seen) unseen += 1;
    process.stdout.write(`${seen ? 'seen' : 'NOT SEEN'}: ${guard.name} (${guard.test}, "${guard.named}")\n`);
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
process.exitCode = unseen > 0 ? 1 : 0;

/** Whether the test fails, after it has been seen to pass as it is. What is broken must build all the same. */
async function failsWithout(guard: Guard): Promise<boolean> {
  const file = path.join(copy, guard.file);
  const whole = await readFile(file, 'utf8');
  if (!(await passes(guard))) throw new Error(`${guard.test} "${guard.named}" fails as it is`);
  let broken = whole;
  for (const [from, to] of guard.break) {
    if (!broken.includes(from)) throw new Error(`${guard.file}: expected ${JSON.stringify(from)}, found none`);
    broken = broken.replace(from, () => to);
  }
  await writeFile(file, broken);
  try {
    return !(await passes(guard));
  } finally {
    await writeFile(file, whole);
  }
}

async function passes({ test, named, seed }: Guard): Promise<boolean> {
  const config = test.startsWith('test/faults/') ? 'vitest.faults.config.ts' : 'vitest.config.ts';
  const report = path.join(copy, 'report.json');
  await rm(report, { force: true });
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--config', config, test, '-t', named];
  args.push('--reporter=json', `--outputFile=${report}`);
  const env = { ...process.env, ...(seed === undefined ? {} : { LONGHAUL_FAULTS_SEED: String(seed) }) };
  const said = await new Promise<string>((resolve) => {
    execFile(process.execPath, args, { cwd: copy, env, maxBuffer: 2 ** 26 }, (_, out, err) => resolve(out + err));
  });
  const text = await readFile(report, 'utf8').catch(() => '{}');
  const { numPassedTests = 0, numFailedTests = 0 } = JSON.parse(text) as Record<string, number>;
  if (numPassedTests + numFailedTests === 0) throw new Error(`${test} "${named}" did not run:\n${said.slice(-2_000)}`);
  return numFailedTests === 0;
}
