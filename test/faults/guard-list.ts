/** What guards.ts breaks, and the test that must then fail. */
export interface Guard {
  readonly name: string;
  readonly file: string;
  /** Each is replaced once; `file` must contain all. */
  readonly break: readonly (readonly [string, string])[];
  readonly test: string;
  /** A part of the title of the test that must fail. */
  readonly named: string;
  readonly seed?: number;
}

export const GUARDS: readonly Guard[] = [
  {
    name: 'the fence',
    file: 'frames/writer.ts',
    break: [[' AND s.writer = w.token AND s.written = w.seen', '']],
    test: 'test/faults/worker.test.ts',
    named: 'a worker that was suspended and replaced',
  },
  {
    name: 'REJECT_DUPLICATE',
    file: 'client/start-run.ts',
    break: [["'REJECT_DUPLICATE'", "'ALLOW_DUPLICATE'"]],
    test: 'test/faults/two-intakes.test.ts',
    named: 'a suspended backend that continues',
  },
  {
    name: 'idempotent insert',
    file: 'store/collected-diffs.ts',
    break: [
      ["idOf(change.taskId, 'change')", "idOf(randomUUID() as string as TaskId, 'change')"],
      ['/**', "import { randomUUID } from 'node:crypto';\n/**"],
    ],
    test: 'test/faults/matrix/queue-change.test.ts',
    named: 'queue change × worker',
    seed: 1, // the variant in which the step has run and its result has not reached Temporal
  },
  {
    name: 'parked worktree in the making',
    file: 'worktrees/park.ts',
    break: [
      ["writeRecord(locksDir, { ...next, state: 'making' });", "writeRecord(locksDir, { ...next, state: 'ready' });"],
    ],
    test: 'test/faults/matrix/parked.test.ts',
    named: 'parked: taken, other base × worker',
    seed: 4, // the variant in which git clean is held
  },
  {
    name: 'group kill',
    file: 'processes/end.ts',
    break: [["signalGroup(leader.pid, 'SIGKILL')", "signalGroup(leader.pid, 'SIGCONT')"]],
    test: 'test/agents/process.test.ts',
    named: 'a group that ignores SIGTERM',
  },
  {
    name: 'marker sweep',
    file: 'processes/sweep.ts',
    break: [
      [
        'const deadline = performance.now() + KILL_TIMEOUT_MS;',
        'if (marks.length > 0) return 0;\n  const deadline = 0;',
      ],
    ],
    test: 'test/faults/orphans.test.ts',
    named: 'both killed at once',
  },
  {
    name: 'remove after commit',
    file: 'workflows/close.ts',
    break: [['if (keep === undefined) {', 'if (true) {']],
    test: 'test/faults/kept-worktree.test.ts',
    named: 'git fails permanently',
  },
];
