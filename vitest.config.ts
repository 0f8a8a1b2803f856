import { configDefaults, defineConfig } from 'vitest/config';

const SLOW_FAULTS = [
  'cancel-unattended',
  'disk-full',
  'home-full',
  'lost-records',
  'postgres-away',
  'power-loss',
  'temporal-away',
  'terminated',
  'worker',
  'worker-stops',
];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They have runs of their own: `npm run test:agents` and `npm run test:package`, which install much first, and
    // `npm run test:faults`, which takes minutes; test/faults/services.test.ts is its sample here.
    exclude: [
      ...configDefaults.exclude,
      'test/real-agents/**',
      'test/package/installed/**',
      ...SLOW_FAULTS.map((name) => `test/faults/${name}.test.ts`),
    ],
    globalSetup: ['test/global-setup.ts'],
    // Real processes on two cores: a test waits for events, these bounds only end what hangs.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
