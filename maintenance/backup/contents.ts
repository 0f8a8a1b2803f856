/**
 * The content of a backup, a tar file: the embedded Postgres cluster (tasks, sessions, messages, frames, changes with
 * diff and patch), its password, the token, and for each project the results under refs/longhaul as a git bundle.
 *
 * Not in it, on purpose: Temporal's database (open tasks get a new run from their rows), worktrees of open tasks (their
 * agents start over), logs, what agents keep for themselves, and the projects' own branches.
 */
import { join } from 'node:path';
import { z } from 'zod';

export const FORMAT = 1;

export const manifest = z.object({
  format: z.literal(FORMAT),
  /** Version of Longhaul that made it. */
  version: z.string(),
  madeAt: z.string(),
  projects: z.array(
    z.object({
      id: z.string(),
      path: z.string(),
      /** The commits of the refs below refs/longhaul, by ref. */
      refs: z.record(z.string(), z.string()),
      /** False: each commit of them is in a branch or tag of the project. */
      bundled: z.boolean(),
    }),
  ),
});
export type Manifest = z.infer<typeof manifest>;

export const contentsOf = (folder: string) => ({
  manifest: join(folder, 'manifest.json'),
  data: join(folder, 'data'),
  password: join(folder, 'password'),
  token: join(folder, 'token'),
  bundle: (projectId: string): string => join(folder, `${projectId}.bundle`),
});
