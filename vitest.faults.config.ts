import { defineConfig, mergeConfig } from 'vitest/config';
import usual from './vitest.config.ts';

/** `npm run test:faults`: everything that kills, stops or takes away a part. `npm test` has a sample of it. */
const config = mergeConfig(usual, defineConfig({}));
config.test.include = ['test/faults/*.test.ts'];
config.test.exclude = [];
export default config;
