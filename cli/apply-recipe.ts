/** How a user applies the patch that `longhaul diff` prints. */

/**
 * The command works in any folder of the checkout. `--whitespace=nowarn` overrides the user's setting
 * `apply.whitespace`, because git changes lines of the patch if this setting has the value `fix`.
 */
export const APPLY = 'git -C "$(git rev-parse --show-toplevel)" apply --whitespace=nowarn';
