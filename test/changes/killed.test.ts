/**
 * Apply, undo and the restoring of files, killed with SIGKILL at a random call of the file system.
 * `LONGHAUL_APPLY_KILLS` is the number of kills of each, `LONGHAUL_APPLY_SEED` the first seed.
 */
import { expect, test } from 'vitest';
import { makeFolder, removeFolder } from '../lab/repositories.ts';
import { KINDS, killTrip } from './kill-trip.ts';

const KILLS = Number(process.env['LONGHAUL_APPLY_KILLS'] ?? 2);
const FIRST = Number(process.env['LONGHAUL_APPLY_SEED'] ?? 1);

test.each(KINDS)(
  '%s, killed at any call: the next run leaves the whole change or none of it, and .git stays',
  async (kind) => {
    let changes = 0;
    for (let seed = FIRST; seed < FIRST + KILLS; seed += 1) {
      const root = await makeFolder();
      try {
        if (await killTrip(seed, kind, root)) changes += 1;
      } catch (error) {
        throw new Error(`seed ${seed} (LONGHAUL_APPLY_SEED=${seed} LONGHAUL_APPLY_KILLS=1)`, { cause: error });
      } finally {
        await removeFolder(root);
      }
    }
    expect(changes).toBeGreaterThan(0);
  },
  3_600_000,
);
