/**
 * Random repositories and random edits: an apply gives what `git checkout` of the result gives in a copy of the
 * checkout, an undo gives the tree before, each byte for byte; nothing in `.git` changes. `LONGHAUL_APPLY_CASES` is the
 * number of cases, `LONGHAUL_APPLY_SEED` the first one.
 */
import { expect, test } from 'vitest';
import { makeFolder, removeFolder } from '../lab/repositories.ts';
import { roundTrip } from './round-trip.ts';

const CASES = Number(process.env['LONGHAUL_APPLY_CASES'] ?? 8);
const FIRST = Number(process.env['LONGHAUL_APPLY_SEED'] ?? 1);

test('apply gives what git would check out, undo gives the tree before, and .git stays', async () => {
  let applied = 0;
  for (let seed = FIRST; seed < FIRST + CASES; seed += 1) {
    const root = await makeFolder();
    try {
      if (await roundTrip(seed, root)) applied += 1;
    } catch (error) {
      throw new Error(`seed ${seed} (LONGHAUL_APPLY_SEED=${seed} LONGHAUL_APPLY_CASES=1)`, { cause: error });
    } finally {
      await removeFolder(root);
    }
  }
  expect(applied).toBeGreaterThan(CASES / 2);
}, 3_600_000);
