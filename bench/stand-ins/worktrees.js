// worktrees/worktrees.ts without git: an empty folder, and a change that is always the same. In a project whose folder is
// called `real` everything is real.
import { mkdir, rm } from 'node:fs/promises';
import { basename } from 'node:path';

const real = await import(new URL(import.meta.url).searchParams.get('real'));

export const taskRef = (taskId) => `refs/longhaul/tasks/${taskId}`;

const BASE = '1'.repeat(40);
const RESULT = '2'.repeat(40);
const PATCH =
  'diff --git a/written.txt b/written.txt\nnew file mode 100644\n--- /dev/null\n+++ b/written.txt\n@@ -0,0 +1 @@\n+Hello\n';
const FILE = { path: 'written.txt', status: 'added', additions: 1, deletions: 0, binary: false };

export function makeWorktrees(options) {
  const usual = real.makeWorktrees(options);
  /** Path by task. */
  const standIns = new Map();
  const isStandIn = (worktreePath) => [...standIns.values()].includes(worktreePath);
  return {
    ...usual,
    async create(request) {
      const { projectPath, worktreePath, owner } = request;
      if (basename(projectPath) === 'real') return usual.create(request);
      standIns.set(owner, worktreePath);
      await mkdir(worktreePath, { recursive: true });
      return { state: 'created', worktreePath, base: BASE, warnings: [] };
    },
    async uncommittedEdits() {
      return undefined;
    },
    async collect(request) {
      if (!isStandIn(request.worktreePath)) return usual.collect(request);
      const stored = { commit: RESULT, tree: RESULT, patch: Buffer.from(PATCH), diff: PATCH };
      return { kind: 'changed', ...stored, files: [FILE], additions: 1, deletions: 0, ignored: [], notes: [] };
    },
    async remove(request) {
      const { worktreePath } = request;
      if (!isStandIn(worktreePath)) return usual.remove(request);
      for (const [owner, path] of standIns) if (path === worktreePath) standIns.delete(owner);
      await rm(worktreePath, { recursive: true, force: true });
      return { removed: true };
    },
    async findOwned(owner) {
      const worktreePath = standIns.get(owner);
      return worktreePath === undefined ? usual.findOwned(owner) : { worktreePath, owner, base: BASE, state: 'ready' };
    },
    ownerOf(worktreePath) {
      for (const [owner, path] of standIns) if (path === worktreePath) return owner;
      return usual.ownerOf(worktreePath);
    },
  };
}
