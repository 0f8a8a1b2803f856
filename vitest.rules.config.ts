import { defineConfig } from 'vitest/config';

/** `npm run rules`, a part of `npm run check`: tests that only read the sources. They need no build and no services. */
export default defineConfig({
  test: {
    include: [
      'test/boundaries.test.ts',
      'test/environment.test.ts',
      'test/glossary.test.ts',
      'test/guarantees.test.ts',
    ],
  },
});
