/** Each way in which a record of a home may be damaged, and its repair. */
import { chown, cp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';

/** No account of ours has it. */
export const STRANGER = 65_534;

export const DAMAGES: Readonly<Record<string, (file: string) => Promise<void>>> = {
  removed: (file) => rm(file, { recursive: true }),
  emptied: (file) => truncate(file, 0),
  truncated: async (file) => truncate(file, Math.floor((await readFile(file)).length / 2)),
  'of another shape': (file) => writeFile(file, '{"hello":["world"],"parts":7,"process":"none","port":"many"}'),
  "another user's": (file) => chown(file, STRANGER, STRANGER),
};

/** Keeps a copy beside; `restore` puts it back as it was. */
export async function keepCopy(file: string): Promise<{ restore(): Promise<void> }> {
  const copy = `${file}.kept`;
  await cp(file, copy, { recursive: true });
  return {
    restore: async () => {
      await rm(file, { recursive: true, force: true });
      await rename(copy, file);
    },
  };
}
