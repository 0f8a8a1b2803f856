// worktrees/worktrees.ts without git: an empty folder, and a change that is always the same.
import { mkdir, rm } from 'node:fs/promises';

export const taskRef = (taskId) => `refs/longhaul/tasks/${taskId}`;

const BASE = '1'.repeat(40);
const RESULT = '2'.repeat(40);
const PATCH =
  'diff --git a/written.txt b/written.txt\nnew file mode 100644\n--- /dev/null\n+++ b/written.txt\n@@ -0,0 +1 @@\n+Hello\n';
const FILE = { path: 'written.txt', status: 'added', additions: 1, deletions: 0, binary: false };

export function makeWorktrees() {
  return {
    async create({ worktreePath }) {
      await mkdir(worktreePath, { recursive: true });
      return { state: 'created', worktreePath, base: BASE, warnings: [] };
    },
    async uncommittedEdits() {
      return undefined;
    },
    async collect() {
      const stored = { commit: RESULT, tree: RESULT, patch: Buffer.from(PATCH), diff: PATCH };
      return { kind: 'changed', ...stored, files: [FILE], additions: 1, deletions: 0, ignored: [], notes: [] };
    },
    async remove({ worktreePath }) {
      await rm(worktreePath, { recursive: true, force: true });
      return { removed: true };
    },
    async findOwned() {
      return undefined;
    },
  };
}
