/** Faults that stand beside what they are about, and take too long for `npm test`: `npm run test:faults` has them. */
export const SLOW_FAULTS = [
  'test/backend/frames-socket-restarts.test.ts',
  'test/backend/many-readers.test.ts',
  'test/backend/outages.test.ts',
  'test/client/busy-database.test.ts',
  'test/compose/services-not-ours.test.ts',
  'test/failing-agents/floods.test.ts',
  'test/failing-agents/full-disk.test.ts',
  'test/failing-agents/oddities.test.ts',
  'test/failing-agents/timeouts.test.ts',
  'test/maintenance/stuck-run.test.ts',
  'test/services/supervisor/supervisor.test.ts',
  'test/workflows/long-turn.test.ts',
  'test/worktrees/crash.test.ts',
  'test/worktrees/left-locks.test.ts',
  'test/worktrees/two-homes.test.ts',
  'test/worktrees/user-gc.test.ts',
];
