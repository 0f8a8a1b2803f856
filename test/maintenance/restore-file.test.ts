/** `longhaul restore` with a file that is no backup. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { restore } from '../../maintenance/backup/restore.ts';
import { makeFolder, removeFolder } from '../lab/repositories.ts';

test('a file that is no backup is refused; the message says what it is', async () => {
  const root = await makeFolder();
  const file = path.join(root, 'README.md');
  const found = async (): Promise<unknown> => restore(path.join(root, 'home'), file).catch((error: unknown) => error);
  await writeFile(file, '# Longhaul\n');
  const message = `${file}: expected a file that \`longhaul backup\` made, found`;
  expect(await found()).toMatchObject({ code: 'invalid_input', message: `${message} no compressed tar file.` });
  await promisify(execFile)('tar', ['-czf', file, '-C', '/', 'dev/null']);
  expect(await found()).toMatchObject({ message: `${message} no manifest in it.` });
  await removeFolder(root);
});
