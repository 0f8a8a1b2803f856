/** Reads and writes folders whose names are bytes. Keys have one character for each byte of a path. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

export const bytes = (key: string): Buffer => Buffer.from(key, 'latin1');
export const at = (root: string, key: string): Buffer => Buffer.concat([Buffer.from(`${root}/`), bytes(key)]);

/** Every file below `root` but `skip`, by the key of its path: kind, mode and hash of the content. */
export function treeAt(root: string, skip = '.git'): Record<string, string> {
  const tree: Record<string, string> = {};
  const visit = (prefix: string): void => {
    for (const item of readdirSync(at(root, prefix), { encoding: 'buffer' })) {
      const key = `${prefix}${item.toString('latin1')}`;
      if (item.toString('latin1') === skip) continue;
      const status = lstatSync(at(root, key));
      if (status.isDirectory()) visit(`${key}/`);
      else if (status.isSymbolicLink())
        tree[key] = `link ${readlinkSync(at(root, key), { encoding: 'buffer' }).toString('latin1')}`;
      else tree[key] = `${(status.mode & 0o777).toString(8)} ${hash(readFileSync(at(root, key)))}`;
    }
  };
  visit('');
  return Object.fromEntries(Object.entries(tree).sort(([one], [other]) => (one < other ? -1 : 1)));
}

const hash = (content: Buffer): string => createHash('sha256').update(content).digest('hex').slice(0, 16);

/** A generator of numbers that a seed determines (mulberry32). */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed * 2_654_435_761;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
  below(count: number): number {
    return Math.floor(this.next() * count);
  }
  chance(share: number): boolean {
    return this.next() < share;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

export function makeFolders(root: string, key: string): void {
  const end = key.lastIndexOf('/');
  if (end > 0) mkdirSync(at(root, key.slice(0, end)), { recursive: true });
}
