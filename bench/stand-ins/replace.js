// Module hooks: the requested module, and its replacement. A replacement gets the address of the real module.
const REPLACED = [
  ['/worktrees/worktrees.js', new URL('./worktrees.js', import.meta.url).href],
  ['/agents/select-driver.js', new URL('./select-driver.js', import.meta.url).href],
];

export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const replacement = REPLACED.find(([module]) => found.url.endsWith(module))?.[1];
  const isOwn = replacement === found.url || context.parentURL?.split('?')[0] === replacement;
  if (replacement === undefined || isOwn) return found;
  return { url: `${replacement}?real=${encodeURIComponent(found.url)}`, shortCircuit: true };
}
