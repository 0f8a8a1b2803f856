/** Converts content from the repository's form to the form that the user's checkout has (end of line, encoding, filters). */
import { lstatSync, mkdirSync, readlinkSync, rmSync } from 'node:fs';
import path from 'node:path';
import { git } from '../worktrees/git.ts';
import { asLines, type Checkout, inCheckout, makeIndex, type NamedBlob, storeRaw } from './checkout.ts';
import { blobId, type DiskState, joined } from './disk.ts';
import { keyOf } from './ours.ts';

export interface ToConvert {
  readonly files: readonly NamedBlob[];
  /** The `.gitattributes` files that apply to the files. */
  readonly attributes: readonly NamedBlob[];
  /**
   * Whether these attributes differ from those in the checkout. If so, git runs in the scratch folder, where it finds
   * no `.gitattributes` files and so takes the attributes from the index that `asCheckedOut` makes. Otherwise git runs
   * in the checkout, because a filter's command may need the checkout as its current folder.
   */
  readonly otherAttributes: boolean;
}

/**
 * Returns the content that git would write to disk for each file, by the key of the file's path (`keyOf`), and stores
 * these bytes in the mirror. Git writes the files to the scratch folder, not to the checkout.
 */
export async function asCheckedOut(checkout: Checkout, wanted: ToConvert): Promise<Map<string, DiskState>> {
  const { files, attributes, otherAttributes } = wanted;
  const states = new Map<string, DiskState>();
  if (files.length === 0) return states;
  const folder = path.join(checkout.scratch, 'converted');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  const at = inCheckout(checkout, 'converted-index');
  await makeIndex(at, distinct([...files, ...attributes]));
  const place = otherAttributes ? { ...at, cwd: folder, env: { ...at.env, GIT_WORK_TREE: folder } } : at;
  const prefix = otherAttributes ? [] : [`--prefix=${folder}/`];
  const input = asLines(files.map((file) => file.path));
  await git(['checkout-index', '--force', ...prefix, '-z', '--stdin'], { ...place, input });
  const plain = files.filter((file) => lstatSync(joined(folder, file.path)).isFile());
  const ids = await storeRaw(
    inCheckout(checkout),
    plain.map((file) => joined(folder, file.path)),
  );
  plain.forEach((file, index) => {
    const perm = lstatSync(joined(folder, file.path)).mode & 0o777;
    states.set(keyOf(file.path), { kind: 'file', raw: ids[index] ?? '', perm });
  });
  for (const { path: name } of files.filter((file) => !states.has(keyOf(file.path)))) {
    const target = readlinkSync(joined(folder, name), { encoding: 'buffer' });
    states.set(keyOf(name), { kind: 'link', raw: blobId(target, checkout.idChars) });
  }
  rmSync(folder, { recursive: true, force: true });
  return states;
}

/** Returns the first entry of each path. */
function distinct(entries: readonly NamedBlob[]): NamedBlob[] {
  const byKey = new Map<string, NamedBlob>();
  for (const entry of entries) if (!byKey.has(keyOf(entry.path))) byKey.set(keyOf(entry.path), entry);
  return [...byKey.values()];
}
