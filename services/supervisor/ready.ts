/**
 * Announces to the supervisor that a part is ready: the part writes one line of JSON to a pipe that the supervisor gave
 * it.
 */
import { closeSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { buildVersion } from '../../processes/package-version.ts';
import { isErrno } from '../../contract/errors.ts';

/** The environment variable with the number of the descriptor on which a part announces that it is ready. */
export const READY_FD = 'LONGHAUL_READY_FD';

export const announcement = z.looseObject({
  ready: z.literal(true),
  url: z.string().optional(),
  version: z.string().optional(),
});
export type Announcement = z.infer<typeof announcement>;

/**
 * A part calls this function once, when it can do its work, with details that others need, such as its `url`. The
 * function does nothing without a supervisor, or if the supervisor has exited.
 */
export function announceReady(env: NodeJS.ProcessEnv, detail: Readonly<Record<string, unknown>> = {}): void {
  const fd = Number(env[READY_FD]);
  delete env[READY_FD]; // Processes that this process starts must not inherit the variable.
  if (!Number.isInteger(fd) || fd < 3) return;
  try {
    writeSync(fd, `${JSON.stringify({ ...detail, version: buildVersion(), ready: true })}\n`);
    closeSync(fd);
  } catch (error) {
    if (!isErrno(error, 'EPIPE', 'EBADF')) throw error;
  }
}

/** Returns the announcement of a part; `undefined` if the pipe ends without an announcement. */
export function readAnnouncement(pipe: Readable): Promise<Announcement | undefined> {
  return new Promise((resolve) => {
    let text = '';
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end < 0) return;
      resolve(announcement.parse(JSON.parse(text.slice(0, end))));
      pipe.destroy(); // otherwise the pipe keeps this process alive as long as the part runs
    });
    pipe.once('close', () => resolve(undefined));
    pipe.once('error', () => resolve(undefined));
  });
}
