/** How a part tells the supervisor that it is ready: one line of JSON on a pipe that it was given. */
import { closeSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { buildVersion } from '../../processes/package-version.ts';
import { isErrno } from '../../contract/errors.ts';

export const READY_FD = 'LONGHAUL_READY_FD';

export const announcement = z.looseObject({
  ready: z.literal(true),
  url: z.string().optional(),
  version: z.string().optional(),
});
export type Announcement = z.infer<typeof announcement>;

/**
 * Called once by a part when it can do its work, with what others need to know, such as its `url`.
 * Without a supervisor, and if it no longer runs, this does nothing.
 */
export function announceReady(env: NodeJS.ProcessEnv, detail: Readonly<Record<string, unknown>> = {}): void {
  const fd = Number(env[READY_FD]);
  delete env[READY_FD]; // Programs that this process starts must not inherit it.
  if (!Number.isInteger(fd) || fd < 3) return;
  try {
    writeSync(fd, `${JSON.stringify({ ...detail, version: buildVersion(), ready: true })}\n`);
    closeSync(fd);
  } catch (error) {
    if (!isErrno(error, 'EPIPE', 'EBADF')) throw error;
  }
}

/** The announcement of a part, `undefined` if its pipe ends without one. */
export function readAnnouncement(pipe: Readable): Promise<Announcement | undefined> {
  return new Promise((resolve) => {
    let text = '';
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end < 0) return;
      resolve(announcement.parse(JSON.parse(text.slice(0, end))));
      pipe.destroy(); // else it would keep us alive as long as the part
    });
    pipe.once('close', () => resolve(undefined));
    pipe.once('error', () => resolve(undefined));
  });
}
