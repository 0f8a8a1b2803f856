// Module hooks: what is asked for, and what is given instead.
const REPLACED = [
  ['/worktrees/worktrees.js', new URL('./worktrees.js', import.meta.url).href],
  ['/agents/select-driver.js', new URL('./select-driver.js', import.meta.url).href],
];

export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const replacement = REPLACED.find(([module]) => found.url.endsWith(module))?.[1];
  return replacement !== undefined && replacement !== found.url ? { url: replacement, shortCircuit: true } : found;
}
