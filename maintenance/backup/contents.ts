/**
 * The content of a backup, which is a tar file: the embedded Postgres cluster (tasks, sessions, messages, frames,
 * changes with diff and patch), its password, the token, and for each project a git bundle with the results under
 * refs/longhaul.
 *
 * A backup does not contain Temporal's database (open tasks get a new run from their rows), the worktrees of open tasks
 * (their agents start over), logs, the agents' own data, or the projects' own branches.
 */
import { join } from 'node:path';
import { z } from 'zod';

export const FORMAT = 1;

export const manifest = z.object({
  format: z.literal(FORMAT),
  /** The version of Longhaul that made the backup. */
  version: z.string(),
  madeAt: z.string(),
  projects: z.array(
    z.object({
      id: z.string(),
      path: z.string(),
      /** The commit of each ref below refs/longhaul, by the name of the ref. */
      refs: z.record(z.string(), z.string()),
      /**
       * False if branches or tags of the project contain all of these commits. Then the backup has no bundle of them.
       */
      bundled: z.boolean(),
    }),
  ),
});
export type Manifest = z.infer<typeof manifest>;

/** Returns the paths of the backup's content in the folder where it is collected or unpacked. */
export const contentsOf = (folder: string) => ({
  manifest: join(folder, 'manifest.json'),
  data: join(folder, 'data'),
  password: join(folder, 'password'),
  token: join(folder, 'token'),
  bundle: (projectId: string): string => join(folder, `${projectId}.bundle`),
});
