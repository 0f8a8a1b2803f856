/**
 * Files that stand beside what they are about, and take too long for `npm test`: most start processes or whole homes for each
 * test. `npm run test:faults` has them.
 */
export const SLOW_FAULTS = [
  'test/agents/conformance/native.test.ts',
  'test/agents/terminal/adapter.test.ts',
  'test/agents/terminal/conformance.test.ts',
  'test/backend/frames-socket-restarts.test.ts',
  'test/backend/many-readers.test.ts',
  'test/backend/outages.test.ts',
  'test/cli/demo.test.ts',
  'test/client/busy-database.test.ts',
  'test/compose/services-not-ours.test.ts',
  'test/failing-agents/failures.test.ts',
  'test/failing-agents/floods.test.ts',
  'test/failing-agents/full-disk.test.ts',
  'test/failing-agents/oddities.test.ts',
  'test/failing-agents/timeouts.test.ts',
  'test/maintenance/stuck-run.test.ts',
  'test/services/command-line.test.ts',
  'test/services/postgres/postgres.test.ts',
  'test/services/supervisor/supervisor.test.ts',
  'test/workflows/long-turn.test.ts',
  'test/workflows/probe-agent.test.ts',
  'test/worktrees/crash.test.ts',
  'test/worktrees/left-locks.test.ts',
  'test/worktrees/two-homes.test.ts',
  'test/worktrees/user-gc.test.ts',
];
