/**
 * Returns an action whose module is loaded only when the command runs, because help and completion need only the
 * definitions.
 */
export const lazily =
  <Args extends unknown[]>(load: () => Promise<(...args: Args) => Promise<void>>) =>
  async (...args: Args): Promise<void> =>
    (await load())(...args);
