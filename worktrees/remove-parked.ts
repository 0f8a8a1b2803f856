/** Removes a parked worktree that no task uses. */
import { isIntact, storeLeft } from './park.ts';
import { readRecord } from './records.ts';
import { removeLocked, type RemoveContext } from './remove.ts';
import { canonical, findEntry } from './repository.ts';
import { withLock } from './repository-lock.ts';

export type Unparked = 'removed' | 'in_use' | { readonly kept: string };

/**
 * Removes a parked worktree, or completes a removal that was interrupted. Edits that a user made in it by hand are stored first. If they cannot be stored, the
 * worktree stays.
 */
export async function removeParked(
  context: RemoveContext,
  request: { worktreePath: string; signal?: AbortSignal },
): Promise<Unparked> {
  const { locksDir } = context;
  const worktreePath = canonical(request.worktreePath);
  const signal = request.signal && { signal: request.signal };
  return withLock({ locksDir, subject: worktreePath, ...signal }, async () => {
    const record = readRecord(locksDir, worktreePath);
    if (record?.parked === undefined) return 'in_use';
    const adminDir = findEntry(record.commonDir, worktreePath)?.adminDir;
    // A removal that was interrupted has stored the edits already, and some of the files may be gone (state `making`).
    if (record.state === 'parked' && adminDir !== undefined && isIntact(locksDir, record, adminDir)) {
      const stored = await storeLeft(locksDir, record, request.signal);
      if (stored === undefined) return { kept: `${worktreePath} has edits that could not be stored` };
    }
    await removeLocked(context, { worktreePath, ...signal });
    return 'removed';
  });
}
