/** Writes files that exist completely or not at all, even if the process is killed meanwhile. */
import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { orAbsentSync } from './repository.ts';

export function writeWhole(file: string, content: string | Buffer): void {
  const draft = `${file}.${randomUUID()}.new`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}

/**
 * Makes the file at `to` equal to the file at `from`, or removes it if there is none at `from`. Writes only if the
 * content differs.
 */
export function copyOrRemove(from: string, to: string): void {
  const [wanted, found] = [from, to].map((file) => orAbsentSync(() => readFileSync(file)));
  if (wanted === undefined) rmSync(to, { force: true });
  else if (found === undefined || !wanted.equals(found)) writeWhole(to, wanted);
}
