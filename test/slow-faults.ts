/** Faults that stand beside what they are about, and take too long for `npm test`: `npm run test:faults` has them. */
export const SLOW_FAULTS = [
  'test/backend/many-readers.test.ts',
  'test/worktrees/crash.test.ts',
  'test/worktrees/user-gc.test.ts',
  'test/worktrees/two-homes.test.ts',
  'test/failing-agents/full-disk.test.ts',
];
