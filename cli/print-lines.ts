import { lineColumns, type LiveLine } from './screen.ts';
import { wrapIndented, painter } from './terminal.ts';

/** Prints lines to stdout. On a terminal, long lines are broken between words. */
export function printLines(lines: readonly LiveLine[]): void {
  const { stdout } = process;
  const paint = painter(stdout);
  const fitting = ({ text }: LiveLine): string[] => (stdout.isTTY ? wrapIndented(text, lineColumns(stdout)) : [text]);
  const shown = lines.flatMap((line) => fitting(line).map((text) => (line.style ? paint(line.style, text) : text)));
  stdout.write(shown.map((text) => `${text}\n`).join(''));
}
