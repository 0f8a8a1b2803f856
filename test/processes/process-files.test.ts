import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { identifySelf } from '../../processes/identity.ts';
import { identityOfParts, listProcessFiles, identityNameParts } from '../../processes/process-files.ts';

test('a file counts while exactly the process that it names is alive', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'longhaul-live-files-'));
  try {
    const self = identifySelf();
    const beforeReboot = { ...self, bootId: 'another-boot' };
    const laterPid = { ...self, startTime: `${Number(self.startTime) - 1}` };
    for (const [at, identity] of [self, beforeReboot, laterPid].entries())
      await writeFile(path.join(folder, [at, ...identityNameParts(identity)].join('+')), '');
    await writeFile(path.join(folder, 'anything else'), '');
    const found = listProcessFiles(folder, (name) => {
      const [, pid, startTime, bootId] = name.split('+');
      return identityOfParts(pid, startTime, bootId);
    });
    expect(found.map(({ holder, isAlive }) => ({ holder, isAlive }))).toEqual(
      expect.arrayContaining([
        { holder: self, isAlive: true },
        { holder: beforeReboot, isAlive: false },
        { holder: laterPid, isAlive: false },
      ]),
    );
    expect(found).toHaveLength(3);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a folder that does not exist has no files', () => {
  expect(listProcessFiles('/nonexistent', () => identifySelf())).toEqual([]);
});
