/**
 * The writer in a process of its own, which kills itself at one of its calls of the file system:
 * `node killed-writer.ts write|takeBack JOURNAL_FILE CALL`. A file is then half written. Prints the number of calls if it
 * comes to its end.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { journalSchema } from '../../changes/journal.ts';

const [half = '', file = '', last = '0'] = process.argv.slice(2);
const CALLS = [
  'openSync',
  'writeSync',
  'fchmodSync',
  'fsyncSync',
  'renameSync',
  'unlinkSync',
  'rmdirSync',
  'rmSync',
  'mkdirSync',
  'symlinkSync',
  'chmodSync',
] as const;
let calls = 0;

for (const name of CALLS) {
  const real = fs[name] as (...args: unknown[]) => unknown;
  const counted = (...args: unknown[]): unknown => {
    calls += 1;
    if (calls === Number(last)) {
      if (name === 'writeSync') {
        const [fd, bytes] = args as [number, Buffer];
        real(fd, bytes.subarray(0, bytes.length / 2));
      }
      process.kill(process.pid, 'SIGKILL');
    }
    return real(...args);
  };
  Object.assign(fs, { [name]: counted });
}
syncBuiltinESMExports();

const journal = journalSchema.parse(JSON.parse(fs.readFileSync(file, 'utf8')));
const { takeBack, writeFiles } = await import('../../changes/writer.ts');
await (half === 'write' ? writeFiles : takeBack)({ journal, tag: 'tag' });
process.stdout.write(`${calls}\n`);
