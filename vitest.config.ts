import { configDefaults, defineConfig } from 'vitest/config';
import { SLOW_FAULTS } from './test/slow-faults.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They have runs of their own: `npm run test:agents` and `npm run test:package`, which install much first, and
    // `npm run test:faults`, which takes long; a sample of it is here.
    exclude: [
      ...configDefaults.exclude,
      'test/real-agents/**',
      'test/package/installed/**',
      ...SLOW_FAULTS,
      'test/faults/!(cancel).test.ts',
      'test/faults/cancel-unattended.test.ts', // which the pattern takes for `cancel`
      'test/faults/matrix/!(mid-stream|prompt-hibernated).test.ts',
    ],
    env: { LONGHAUL_FAULTS_VICTIMS: 'worker,all' },
    globalSetup: ['test/global-setup.ts'],
    // Real processes on two cores: a test waits for events, these bounds only end what hangs.
    testTimeout: 180_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    pool: 'forks',
    maxWorkers: 2,
  },
});
