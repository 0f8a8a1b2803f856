/** Checks the mirrors of projects: how much disk space they use, and whether the next task must repair one. */
import { mirrorDamage } from '../../worktrees/mirror-damage.ts';
import { listMirrors, readState } from '../../worktrees/mirror.ts';
import { mirrorDisk, TRIM_ABOVE_BYTES } from '../../worktrees/trim-mirror.ts';
import { locksOf } from '../../worktrees/worktrees.ts';
import { sizeText } from '../size-text.ts';
import { type Check, ok, warning } from './check.ts';

export async function checkMirrors(home: string, trimAboveBytes: number = TRIM_ABOVE_BYTES): Promise<Check[]> {
  const mirrors = listMirrors(locksOf(home));
  let ownBytes = 0;
  const checks: Check[] = [];
  for (const mirror of mirrors) {
    const disk = mirrorDisk(mirror);
    ownBytes += disk.ownBytes;
    const name = `${mirror} of ${readState(mirror)?.commonDir ?? 'an unknown project'}`;
    const damage = await mirrorDamage(mirror);
    if (damage !== undefined)
      checks.push(
        warning('mirrors', `${name}: ${damage}`, '`longhaul gc` or the next task of the project repairs it.'),
      );
    if (disk.formerBytes > trimAboveBytes)
      checks.push(
        warning(
          'mirrors',
          `${name}: ${sizeText(disk.formerBytes)} of packs that a git gc of the project has replaced`,
          '`longhaul gc` frees them.',
        ),
      );
  }
  const total = `${mirrors.length}, which take ${sizeText(ownBytes)} beside their projects`;
  return [ok('mirrors', mirrors.length === 0 ? 'none' : total), ...checks];
}
