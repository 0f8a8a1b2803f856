import type { ExecutionPath } from '../contract/task.ts';
import { LonghaulError } from '../contract/errors.ts';
import { acpDriver } from './acp/driver.ts';
import type { AgentDriver } from './driver.ts';

/** The driver for an execution path. Fails with `not_supported_yet` for those that do not exist so far. */
export function driverFor(path: ExecutionPath): AgentDriver {
  if (path === 'acp') return acpDriver;
  const what = path === 'pty' ? 'Agents in a terminal' : 'Tasks without an agent';
  throw new LonghaulError('not_supported_yet', `${what} cannot be run yet; name an agent that supports ACP.`);
}
