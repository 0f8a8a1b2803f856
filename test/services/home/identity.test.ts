import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refuseMovedHome } from '../../../maintenance/moved-home.ts';
import { registerHome, forgetFormerPaths, formerPaths } from '../../../services/home/identity.ts';
import { DAMAGES } from '../../lab/damage.ts';
import { mountSmallDisk } from '../../lab/small-disk.ts';

let root: string;
let home: string;
let copy: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), 'longhaul-identity-')));
  home = await mkdtemp(path.join(root, 'home-'));
  copy = path.join(root, 'copy');
  await registerHome(home);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const text = (folder: string): Promise<string> => readFile(path.join(folder, 'home.json'), 'utf8');

test('a copy is refused while its original exists, and nothing in it is written', async () => {
  await cp(home, copy, { recursive: true });
  const before = await text(copy);
  await expect(registerHome(copy)).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining(`${copy} is a copy of the home ${home}, which still exists`) as string,
  });
  expect(await text(copy)).toBe(before);
  expect(await readdir(copy)).toEqual(['home.json']);
  await registerHome(home);
});

test('a copy whose original no longer exists becomes the home', async () => {
  await cp(home, copy, { recursive: true });
  await rm(home, { recursive: true });
  await registerHome(copy);
  expect(JSON.parse(await text(copy))).toMatchObject({ path: copy });
});

test('a copy whose original is on an unmounted disk is refused; the disk mounted at another place is no copy', async () => {
  const disk = mountSmallDisk(path.join(root, 'disk'), 1);
  const original = path.join(disk.folder, 'home');
  const elsewhere = path.join(root, 'elsewhere');
  try {
    await mkdir(original);
    await registerHome(original);
    await cp(original, copy, { recursive: true });
    await mkdir(elsewhere);
    execFileSync('mount', ['--bind', disk.folder, elsewhere]);
    disk.unmount();
    await expect(registerHome(copy)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining(`on the disk at ${disk.folder}, which is not mounted now`) as string,
    });
    await registerHome(path.join(elsewhere, 'home'));
    expect(await formerPaths(path.join(elsewhere, 'home'))).toEqual([original]);

    const record = JSON.parse(await text(copy)) as { mount_point?: string };
    delete record.mount_point;
    await writeFile(path.join(copy, 'home.json'), JSON.stringify(record));
    await registerHome(copy);
  } finally {
    execFileSync('sh', ['-c', 'umount --lazy "$1" "$2" || true', 'sh', elsewhere, disk.folder], {
      stdio: 'pipe',
    });
  }
});

test('a home that was renamed is the same one, and its copy at the old path is refused', async () => {
  await rename(home, copy);
  await registerHome(copy);
  await cp(copy, home, { recursive: true });
  await expect(registerHome(home)).rejects.toMatchObject({ code: 'invalid_input' });
});

test('a home that was moved keeps each former path until its worktrees are adjusted, and gc waits for that', async () => {
  expect(await formerPaths(home)).toEqual([]);
  await rename(home, copy);
  await expect(refuseMovedHome(copy)).rejects.toMatchObject({ code: 'invalid_input' });
  await registerHome(copy);
  expect(await formerPaths(copy)).toEqual([home]);
  const third = path.join(root, 'third');
  await rename(copy, third);
  await registerHome(third);
  await registerHome(third);
  expect(await formerPaths(third)).toEqual([home, copy]);
  await expect(refuseMovedHome(third)).rejects.toMatchObject({ code: 'invalid_input' });
  await rename(third, home);
  await registerHome(home);
  expect(await formerPaths(home)).toEqual([copy, third]);
  await forgetFormerPaths(home);
  await refuseMovedHome(home);
  expect(JSON.parse(await text(home))).toMatchObject({ path: home });
});

test('a home that is reached through a link is no copy', async () => {
  await symlink(home, copy);
  await registerHome(copy);
  await registerHome(home);
  expect(JSON.parse(await text(home))).toMatchObject({ path: home });
});

test.each(Object.entries(DAMAGES))('a home whose identity is %s starts', async (_, damage) => {
  await damage(path.join(home, 'home.json'));
  await registerHome(home);
  expect(JSON.parse(await text(home))).toMatchObject({ path: home });
});
