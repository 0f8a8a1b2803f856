import { defineConfig } from 'vitest/config';

/** `npm run test:package`: the package, packed, installed and used. Apart from `npm test` because it installs 350 MB. */
export default defineConfig({
  test: {
    include: ['test/package/installed/*.test.ts'],
    globalSetup: ['test/package/installed/global-setup.ts'],
    // Installing and starting everything takes minutes on a busy machine; the bounds only end what hangs.
    testTimeout: 300_000,
    hookTimeout: 900_000,
    fileParallelism: false,
    pool: 'forks',
  },
});
