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

const READERS = Number(process.env['LONGHAUL_READERS'] ?? 200);
/** 20 MB, in statements of 400 KB. */
const FRAMES = 1_000;
const AT_ONCE = 20;
const TEXT = 'x'.repeat(20_000);
const MB = 1024 * 1024;
/**
 * With 500 readers the backend had 765 MB while each idle reader kept its last page (1 MB a reader), and 277 MB since; with 200
 * readers it has 268 MB.
 */
const MOST_MB = 240 + 0.6 * READERS;
/** 200 readers receive 4 GB over the loopback: half a minute on an idle machine, several minutes on a busy one. */
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
