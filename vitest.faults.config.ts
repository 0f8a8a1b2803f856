import { defineConfig } from 'vitest/config';
import { SLOW_FAULTS } from './test/slow-faults.ts';

/** `npm run test:faults`: what kills, stops or takes away a part, and what takes too long for `npm test`, which has a sample of it. */
export default defineConfig({
  test: {
    include: ['test/faults/**/*.test.ts', ...SLOW_FAULTS],
    globalSetup: ['test/global-setup.ts'],
    // Each starts and kills whole servers, on a machine that others use, too: the bounds only end what hangs.
    env: { LAB_UNTIL_MS: '120000' },
    testTimeout: 240_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    pool: 'forks',
    // More workers than cores, because most tests wait: for a heartbeat that is missed, a pause before a retry, a service that starts.
    maxWorkers: 4,
  },
});
