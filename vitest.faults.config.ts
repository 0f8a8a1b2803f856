import { defineConfig } from 'vitest/config';

/** `npm run test:faults`: everything that kills, stops or takes away a part. `npm test` has most of it. */
export default defineConfig({
  test: {
    include: ['test/faults/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
