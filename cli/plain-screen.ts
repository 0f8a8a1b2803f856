/** The screen of a pipe or a file, which has only lines that stay. */
import { GatheredLines } from './gathered-lines.ts';
import type { LiveLine, Output, Screen } from './screen.ts';

export function plainScreen(out: Output): Screen {
  const lines = new GatheredLines();
  const print = (ready: readonly LiveLine[]): void => {
    for (const { text, style } of ready) out.write(`${style === 'dim' && text !== '' ? `· ${text}` : text}\n`);
  };
  return {
    text: (chunk, style) => print(lines.add(chunk, style)),
    line: (text) => print([...lines.flush(), { text }]),
    live: () => {},
    started: (text) => print([...lines.flush(), { text }]),
    planned: (entries) => print([...lines.flush(), ...entries.map((text) => ({ text: `  ${text}` }))]),
    end: () => print(lines.flush()),
  };
}
