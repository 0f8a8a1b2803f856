import { defineConfig } from 'vitest/config';

/** `npm run test:agents`: real agents against a fake model. Apart from `npm test` because it installs 900 MB once. */
export default defineConfig({
  test: {
    include: ['test/real-agents/*.test.ts'],
    globalSetup: ['test/real-agents/global-setup.ts'],
    // Starting an agent takes seconds of two cores, and of a busy machine ten times that; the bounds only end what hangs.
    env: { LAB_UNTIL_MS: '180000' },
    testTimeout: 400_000,
    hookTimeout: 180_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
