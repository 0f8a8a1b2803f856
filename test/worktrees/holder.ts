/** A process that takes a lock and works under it: `node holder.ts LOCKS_DIR SUBJECT COUNTER_FILE ROUNDS`, or holds it for good with ROUNDS 0. */
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryGit } from '../../worktrees/git.ts';
import { withLock } from '../../worktrees/repository-lock.ts';

const [locksDir = '', subject = '', counter = '', rounds = '0'] = process.argv.slice(2);

if (rounds === '0') {
  await withLock({ locksDir, subject }, async () => {
    const git = tryGit(['hang'], {
      cwd: '/',
      settings: { 'alias.hang': `!echo $$ > ${counter}.git && exec sleep 600` },
    });
    process.stdout.write('held\n');
    await git;
  });
}
for (let round = 0; round < Number(rounds); round += 1) {
  await withLock({ locksDir, subject }, async () => {
    // Read, wait, write: two at once would lose a count.
    const count = Number(await readFile(counter, 'utf8'));
    await sleep(1);
    await writeFile(counter, String(count + 1));
  });
}
