import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolder, removeFolder } from '../lab/repositories.ts';
import { install } from './install.ts';

const SPEC = '@scope/agent@1.0.0';
const say = (): void => {};

let cache: string;
beforeEach(async () => {
  cache = await makeFolder();
});
afterEach(() => removeFolder(cache));

const installed = (): Promise<string[]> => readdir(path.join(cache, 'agents', SPEC));

test('an interrupted install does not count, and the next one begins anew', async () => {
  const breaksOff = async (_spec: string, folder: string): Promise<void> => {
    await writeFile(path.join(folder, 'half'), '');
    throw new Error('the network is gone');
  };
  await expect(install(SPEC, { say, cache, get: breaksOff })).rejects.toThrow('the network is gone');
  await expect(installed()).rejects.toThrow('ENOENT');
  await install(SPEC, { say, cache, get: (_spec, folder) => writeFile(path.join(folder, 'whole'), '') });
  expect(await installed()).toEqual(['whole']);
});

test('of two concurrent installs one works and the other waits for it; a third finds it complete', async () => {
  let count = 0;
  const get = async (spec: string, folder: string): Promise<void> => {
    expect(spec).toBe(SPEC);
    await writeFile(path.join(folder, `made-${(count += 1)}`), '');
  };
  await Promise.all([install(SPEC, { say, cache, get }), install(SPEC, { say, cache, get })]);
  await install(SPEC, { say, cache, get });
  expect(await installed()).toEqual(['made-1']);
});
