import { defineConfig } from 'vitest/config';

/**
 * Configures `npm run test:package`, which packs, installs and uses the package. It is separate from `npm test`,
 * because it installs 350 MB.
 */
export default defineConfig({
  test: {
    include: ['test/package/installed/*.test.ts'],
    globalSetup: ['test/package/installed/global-setup.ts'],
    // Installing and starting everything takes minutes on a busy machine. The timeouts only end tests that hang.
    testTimeout: 300_000,
    hookTimeout: 900_000,
    fileParallelism: false,
    pool: 'forks',
  },
});
