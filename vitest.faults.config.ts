import { defineConfig } from 'vitest/config';
import { SLOW_FAULTS } from './test/slow-faults.ts';

/**
 * Configures `npm run test:faults`: tests that kill, stop or remove a part, and tests that take too long for `npm
 * test`. `npm test` runs only a few tests of this kind.
 */
export default defineConfig({
  test: {
    include: ['test/faults/**/*.test.ts', ...SLOW_FAULTS, 'test/worktrees/hostile-git.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    // Each test starts and kills whole servers, on a machine that may be busy. The timeouts only end tests that hang.
    env: { LAB_UNTIL_MS: '120000', LONGHAUL_HOSTILE_TASKS: process.env['LONGHAUL_HOSTILE_TASKS'] ?? '90' },
    testTimeout: 240_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    pool: 'forks',
    // There are more workers than cores, because most tests wait: for a missed heartbeat, for a pause before a retry,
    // for a service that starts.
    maxWorkers: 4,
  },
});
