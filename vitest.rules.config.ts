import { defineConfig } from 'vitest/config';

/**
 * Configures `npm run rules`, a part of `npm run check`. Its tests only read the sources, so they need neither a build
 * nor services.
 */
export default defineConfig({
  test: {
    testTimeout: 120_000, // each test parses all sources, which takes 2 s, and much longer on a loaded machine

    include: [
      'test/boundaries.test.ts',
      'test/environment.test.ts',
      'test/glossary.test.ts',
      'test/guarantees.test.ts',
    ],
  },
});
