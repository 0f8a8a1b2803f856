/** How a user applies the patch that `longhaul diff` prints. */

/**
 * The command works in any folder of the checkout. `--whitespace=nowarn` overrides the user's setting
 * `apply.whitespace`, because `fix` there would make git change lines.
 */
export const APPLY = 'git -C "$(git rev-parse --show-toplevel)" apply --whitespace=nowarn';
