/** The conformance suite's acts as a command-line agent: its last argument is the list of acts, in JSON. */
import type { Act } from '../conformance/agent.ts';

/** A space keeps the prompt from being an option; it is JSON, so it begins with a bracket anyway. */
export const promptOf = (acts: readonly Act[]): string => JSON.stringify(acts);

/** JavaScript. `HEAD` is printed first, for profiles that read an id from the output. */
export const ACTING = (head = ''): string => `
  const { spawnSync } = require('node:child_process');
  const { openSync, readSync, writeFileSync, writeSync } = require('node:fs');
  ${head}
  const ask = (question) => {
    const tty = openSync('/dev/tty', 'r+');
    writeSync(tty, question + ' [y/N] ');
    const bytes = Buffer.alloc(100);
    return bytes.toString('utf8', 0, readSync(tty, bytes, 0, 100, null)).trim() === 'y';
  };
  const flood = (characters) => {
    const line = 'a line of the flood, which is as long as a line of a log is\\n';
    for (let left = characters; left > 0; left -= line.length) writeSync(1, line);
  };
  const perform = {
    say: ({ text }) => writeSync(1, text + '\\n'),
    think: () => {},
    edit: ({ file, content, asks }) => {
      if (!asks || ask('Write ' + file + '?')) writeFileSync(file, content);
    },
    run: ({ script }) => spawnSync('sh', ['-c', script], { stdio: 'inherit' }),
    flood: ({ megabytes }) => flood(megabytes * 1024 * 1024 + 1_000),
    hang: () => setInterval(() => {}, 1_000),
  };
  for (const act of JSON.parse(process.argv.at(-1))) perform[act.kind](act);`;
