import { defineConfig } from 'vitest/config';

/** `npm run rules`, a part of `npm run check`: tests that only read the sources. They need no build and no services. */
export default defineConfig({
  test: {
    testTimeout: 120_000, // they parse all sources: 2 s each, and much longer on a loaded machine

    include: [
      'test/boundaries.test.ts',
      'test/environment.test.ts',
      'test/glossary.test.ts',
      'test/guarantees.test.ts',
    ],
  },
});
