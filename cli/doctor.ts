/** `longhaul doctor`: reports what works, what does not, and what to do about it. */
import type { Check } from '../maintenance/doctor/check.ts';
import { runChecks } from '../maintenance/doctor/doctor.ts';
import { EXIT, runCommand } from './exit.ts';
import { harmless, pad, type Paint, painter } from './terminal.ts';

export const doctorAction = (options: { json?: boolean }) =>
  runCommand(options, async () => {
    const checks = await runChecks(process.env);
    const paint = painter(process.stdout);
    process.stdout.write(options.json ? `${JSON.stringify({ checks }, undefined, 2)}\n` : doctorText(checks, paint));
    if (checks.some((check) => check.unreachable)) return EXIT.unreachable;
    return checks.some((check) => check.level === 'problem') ? EXIT.taskFailed : EXIT.done;
  });

const MARKS = { ok: ['✓', 'green'], warning: ['!', 'yellow'], problem: ['✗', 'red'] } as const;

function doctorText(checks: readonly Check[], paint: Paint): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, level, detail, advice }) => {
    const [mark, style] = MARKS[level];
    const [first = '', ...more] = harmless(detail).split('\n');
    const indent = ' '.repeat(width + 4);
    return [
      `${paint(style, mark)} ${pad(name, width)}  ${first}`,
      ...more.map((line) => indent + line),
      ...(advice === undefined ? [] : [`${indent}→ ${harmless(advice)}`]),
    ];
  });
  return `${lines.join('\n')}\n\n${summary(checks, paint)}\n`;
}

function summary(checks: readonly Check[], paint: Paint): string {
  const count = (level: Check['level']): number => checks.filter((check) => check.level === level).length;
  const [problems, warnings] = [count('problem'), count('warning')];
  const said = [
    ...(problems > 0 ? [paint('red', `${problems} ${problems === 1 ? 'problem' : 'problems'}`)] : []),
    ...(warnings > 0 ? [paint('yellow', `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`)] : []),
  ];
  return said.length === 0 ? paint('green', 'No problems found.') : said.join(', ');
}
