import { defineConfig } from 'vitest/config';

/**
 * Configures `npm run test:agents`, which runs real agents against a fake model. It is separate from `npm test`,
 * because it installs 900 MB once.
 */
export default defineConfig({
  test: {
    include: ['test/real-agents/*.test.ts'],
    globalSetup: ['test/real-agents/global-setup.ts'],
    // Starting an agent takes seconds on two cores, and ten times as long on a busy machine. The timeouts only end
    // tests that hang.
    env: { LAB_UNTIL_MS: '180000' },
    testTimeout: 400_000,
    hookTimeout: 180_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
