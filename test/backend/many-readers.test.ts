/**
 * What a crowd of readers beside a flood of frames leaves in the backend's memory. LONGHAUL_READERS says how many; it
 * writes what it has found.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { freePort, startBackendProcess } from '../lab/backend-process.ts';
import { freshDatabase } from '../lab/database.ts';
import { append, delta, labSession } from '../lab/log.ts';

const READERS = Number(process.env['LONGHAUL_READERS'] ?? 500);
/** 20 MB, in statements of 400 KB. */
const FRAMES = 1_000;
const AT_ONCE = 20;
const TEXT = 'x'.repeat(20_000);
const MB = 1024 * 1024;
/** It had 765 MB while each idle reader kept its last page, and 277 MB since. */
const MOST_MB = 500;
/** Ten gigabytes go over the loopback: a minute or so by itself, seven on a machine with ten other things to do. */
const BOUND_MS = 900_000;

async function memoryMb(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]) / MB;
}

test(
  `${READERS} readers beside 20 MB of frames`,
  async () => {
    const database = await freshDatabase();
    const home = await mkdtemp(join(tmpdir(), 'longhaul-readers-'));
    const port = await freePort();
    const backend = await startBackendProcess({ databaseUrl: database.url, home, port });
    const before = await memoryMb(port);
    const token = (await readFile(join(home, 'token'), 'utf8')).trim();
    const message = await labSession(database.sql);
    await append(database.sql, message, [delta(message, 'first')]);
    const url = `ws://127.0.0.1:${port}/api/sessions/${message.sessionId}/frames`;
    const program = fileURLToPath(new URL('reader-crowd.ts', import.meta.url));
    const crowd = spawn(process.execPath, ['--import', 'tsx', program, url, token, String(READERS), String(FRAMES + 1)], { stdio: ['pipe', 'pipe', 'inherit'] }); // prettier-ignore
    try {
      const lines = createInterface(crowd.stdout)[Symbol.asyncIterator]();
      expect((await lines.next()).value).toBe('open');
      for (let n = 0; n < FRAMES; n += AT_ONCE) {
        await append(
          database.sql,
          message,
          Array.from({ length: AT_ONCE }, () => delta(message, TEXT)),
        );
      }
      expect((await lines.next()).value).toBe('done');
      const after = await memoryMb(port);
      process.stdout.write(`backend: ${before.toFixed(0)} MB before, ${after.toFixed(0)} MB with ${READERS} idle readers after it\n`); // prettier-ignore
      expect(after).toBeLessThan(MOST_MB);
    } finally {
      crowd.kill('SIGKILL');
      await backend.kill();
      await database.drop();
      await rm(home, { recursive: true, force: true });
    }
  },
  BOUND_MS,
);
