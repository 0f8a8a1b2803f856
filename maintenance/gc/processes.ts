/** Finds processes that agents of ended tasks left. Only processes whose environment names this home are examined. */
import { readdirSync, realpathSync } from 'node:fs';
import { belongsTo, TASK_MARKER } from '../../agents/process/environment.ts';
import { readEnvironment } from '../../processes/environment.ts';
import { identifyRunning, type ProcessIdentity, readProc } from '../../processes/identity.ts';
import { endAndFindDescendants, sweep } from '../../processes/sweep.ts';
import { endProcess } from '../../processes/end.ts';
import { type Leftover, REMOVED } from './leftover.ts';
import { reasonOf, type TaskKnowledge, findTaskStates } from './task-states.ts';
import { shorten } from '../../contract/cut-text.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SHOWN_CHARS = 60;

interface MarkedProcess {
  readonly identity: ProcessIdentity;
  readonly taskId: string;
  readonly command: string;
}

export async function findLeftoverProcesses(home: string, knowledge: TaskKnowledge): Promise<Leftover[]> {
  const marked = findMarkedOf(home);
  const where = await findTaskStates(knowledge, new Set(marked.map(({ taskId }) => taskId)));
  return marked.flatMap(({ identity, taskId, command }): Leftover[] => {
    const task = where.get(taskId);
    if (!task || task.kind === 'at_work') return [];
    const remove: Leftover['remove'] = async () => {
      // A child process that does not have the marker in its environment can be found only through its parent. So the
      // descendants are collected before the parent ends, and again while it ends.
      const steps = [
        { signal: 'SIGTERM', withinMs: 2_000 },
        { signal: 'SIGKILL', withinMs: 5_000 },
      ] as const;
      await sweep([], await endAndFindDescendants(identity, () => endProcess(identity, steps)));
      return REMOVED;
    };
    return [{ kind: 'process', name: `${identity.pid} ${command}`, reason: reasonOf(taskId, task), remove }];
  });
}

function findMarkedOf(home: string): MarkedProcess[] {
  if (process.platform !== 'linux') return [];
  const real = realpathSync(home);
  return readdirSync('/proc').flatMap((name): MarkedProcess[] => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    const environment = readEnvironment(pid);
    const taskId = environment?.[TASK_MARKER];
    if (environment === undefined || taskId === undefined || !UUID.test(taskId)) return [];
    if (belongsTo(real, environment) !== 'this_home') return [];
    const identity = identifyRunning(pid);
    return identity ? [{ identity, taskId, command: commandOf(pid) }] : [];
  });
}

function commandOf(pid: number): string {
  const line = (readProc(`/proc/${pid}/cmdline`)?.toString('utf8') ?? '').replaceAll('\0', ' ').trim();
  return shorten(line, SHOWN_CHARS);
}
