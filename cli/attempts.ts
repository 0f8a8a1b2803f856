/** Lists the attempts of a task's turn, with the reason why each was followed by another attempt. */
import type { Longhaul } from '../client/connection.ts';
import { type AttemptView, listAttempts } from '../client/tasks.ts';
import type { TaskId } from '../contract/ids.ts';
import type { ErrorCode } from '../contract/errors.ts';

const LOST = 'the worker was stopped or lost';
const REASONS: Partial<Record<ErrorCode, string>> = {
  worker_lost: LOST,
  agent_crashed: 'the agent crashed',
  agent_stalled: 'the agent sent nothing for too long',
  agent_start_timeout: 'the agent did not start in time',
  llm_unavailable: "the model's provider was unavailable",
  usage_limit: 'the limit was lifted',
  disk_full: 'the disk was full',
  service_unreachable: 'a service did not respond',
};

/**
 * Returns why an attempt was followed by another one. `code` is the error code of the earlier attempt; null and
 * `worker_lost` mean that the worker was stopped or lost during that attempt.
 */
export function reasonText(code: ErrorCode | null): string {
  return code === null ? LOST : (REASONS[code] ?? code.replaceAll('_', ' '));
}

/** An attempt, as `longhaul show --json` prints it. */
type Attempt = Omit<AttemptView, 'outcome' | 'adopted'>;

export interface Attempts {
  readonly list: readonly Attempt[];
  /**
   * The number of attempts and the reasons, as `longhaul show` prints them. Undefined if there was at most one attempt.
   */
  readonly text: string | undefined;
}

export async function attemptsOf(longhaul: Longhaul, taskId: TaskId): Promise<Attempts> {
  const rows = await listAttempts(longhaul, taskId);
  const reasons = rows.slice(0, -1).map((row) => `${row.number}: ${whyAnother(row)}`);
  return {
    list: rows.map(({ outcome: _outcome, adopted: _adopted, ...attempt }) => attempt),
    text: reasons.length === 0 ? undefined : `${rows.length} (${reasons.join('; ')})`,
  };
}

function whyAnother({ adopted, outcome, error_code: code }: AttemptView): string {
  if (outcome === 'hibernated') return 'it waited for a person';
  if (adopted) return 'its heartbeat reached Temporal too late, its agent continued';
  return reasonText(outcome === 'waiting' ? 'usage_limit' : code);
}
