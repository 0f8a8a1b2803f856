import { configDefaults, defineConfig } from 'vitest/config';
import { SLOW_FAULTS } from './test/slow-faults.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // These tests have commands of their own. `npm run test:agents` and `npm run test:package` first install many
    // packages. `npm run test:faults` takes long, so this configuration includes only a sample of its tests.
    exclude: [
      ...configDefaults.exclude,
      'test/real-agents/**',
      'test/package/installed/**',
      ...SLOW_FAULTS,
      'test/faults/!(cancel).test.ts',
      'test/faults/cancel-unattended.test.ts', // the pattern for `cancel` would match it, too
      'test/faults/matrix/!(mid-stream|prompt-hibernated).test.ts',
    ],
    env: { LONGHAUL_FAULTS_VICTIMS: 'worker,all' },
    globalSetup: ['test/global-setup.ts'],
    // The tests start real processes and wait for events. These timeouts only end tests that hang.
    testTimeout: 180_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    pool: 'forks',
    maxWorkers: 2,
  },
});
