/** Checks how many worktrees are parked, and how much space they use. */
import type { Settings } from '../../services/settings.ts';
import { locksOf } from '../../worktrees/worktrees.ts';
import { listParked } from '../parked/parked-worktrees.ts';
import { type Check, ok, warning } from './check.ts';

const GB = 1024 ** 3;
const size = (bytes: number): string => `${Math.ceil((10 * bytes) / GB) / 10} GB`;

export async function checkParked(
  { home, parked: limits }: Settings,
  pathVariable: string | undefined,
): Promise<Check> {
  const parked = await listParked({ locksDir: locksOf(home), pathVariable });
  const bytes = parked.reduce((sum, one) => sum + one.bytes, 0);
  const detail = `${parked.length} of ${limits.count}, which take ${size(bytes)} of ${size(limits.bytes)}`;
  if (parked.length <= limits.count && bytes <= limits.bytes) return ok('parked worktrees', detail);
  return warning('parked worktrees', detail, 'The worker removes the oldest. Check that it runs.');
}
