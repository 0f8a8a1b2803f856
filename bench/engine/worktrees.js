// Worktrees without git: an empty folder, and a change that is always the same. A project whose folder is called `real`
// gets real git worktrees.
import { mkdir, rm } from 'node:fs/promises';
import { basename } from 'node:path';

const BASE = '1'.repeat(40);
const RESULT = '2'.repeat(40);
const PATCH =
  'diff --git a/written.txt b/written.txt\nnew file mode 100644\n--- /dev/null\n+++ b/written.txt\n@@ -0,0 +1 @@\n+Hello\n';
const FILE = { path: 'written.txt', status: 'added', additions: 1, deletions: 0, binary: false };

export function makeEngineWorktrees(usual) {
  /** The path of each task's worktree. */
  const made = new Map();
  const isMade = (worktreePath) => [...made.values()].includes(worktreePath);
  return {
    ...usual,
    async create(request) {
      const { projectPath, worktreePath, owner } = request;
      if (basename(projectPath) === 'real') return usual.create(request);
      made.set(owner, worktreePath);
      await mkdir(worktreePath, { recursive: true });
      return { state: 'created', worktreePath, base: BASE, warnings: [] };
    },
    async uncommittedEdits() {
      return undefined;
    },
    async collect(request) {
      if (!isMade(request.worktreePath)) return usual.collect(request);
      const stored = { commit: RESULT, tree: RESULT, patch: Buffer.from(PATCH), diff: PATCH };
      return { kind: 'changed', ...stored, files: [FILE], additions: 1, deletions: 0, ignored: [], notes: [] };
    },
    async remove(request) {
      const { worktreePath } = request;
      if (!isMade(worktreePath)) return usual.remove(request);
      for (const [owner, path] of made) if (path === worktreePath) made.delete(owner);
      await rm(worktreePath, { recursive: true, force: true });
      return { removed: true };
    },
    async findOwned(owner) {
      const worktreePath = made.get(owner);
      return worktreePath === undefined ? usual.findOwned(owner) : { worktreePath, owner, base: BASE, state: 'ready' };
    },
    ownerOf(worktreePath) {
      for (const [owner, path] of made) if (path === worktreePath) return owner;
      return usual.ownerOf(worktreePath);
    },
  };
}
