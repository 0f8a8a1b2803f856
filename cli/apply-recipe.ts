/** How a user applies the patch that `longhaul diff` prints. */

/** Works from any folder of the checkout; `nowarn` keeps a user's `apply.whitespace` from changing lines. */
export const APPLY = 'git -C "$(git rev-parse --show-toplevel)" apply --whitespace=nowarn';
