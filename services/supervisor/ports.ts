/** Finds free TCP ports of 127.0.0.1 for the embedded services. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isErrno, LonghaulError } from '../../contract/errors.ts';

// The first and the last port of the range. The range is below the ports that kernels use for outgoing connections
// (Linux: from 32768, macOS: from 49152). Otherwise a client that reconnects while the service is down could get the
// service's port as its own, connect to itself, and so keep the service from listening on that port again.
const FIRST_PORT = 20_000;
const LAST_PORT = 31_999;
const TRIES = 50;
/** A server that was just killed may hold its port for this long. */
const TAKEN_PORT_WAIT_MS = 1_000;
const POLL_MS = 50;

/** A port number in a record. Any other value is ignored. */
export const portNumberSchema = z.number().int().min(1).max(65_535);

/**
 * Returns whether the port is free: listens on the port for a moment. A port that this process may not use counts as
 * taken.
 */
export function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      if (isErrno(error, 'EADDRINUSE', 'EACCES')) resolve(false);
      else reject(error);
    });
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

/**
 * Returns a port on which no process listens now. The port is not reserved, so a server that is started on it may have
 * to be started again.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if (await isPortFree(port)) return port;
  }
  throw new LonghaulError(
    'service_unreachable',
    `No free port found on 127.0.0.1 in ${TRIES} tries between ${FIRST_PORT} and ${LAST_PORT}: end what listens there.`,
  );
}

/** Returns the preferred port if it is free or becomes free within a second, otherwise another one. */
export async function preferredOrFreePort(preferred: number | undefined): Promise<number> {
  if (preferred === undefined) return freePort();
  const deadline = Date.now() + TAKEN_PORT_WAIT_MS;
  while (Date.now() < deadline) {
    if (await isPortFree(preferred)) return preferred;
    await sleep(POLL_MS);
  }
  return freePort();
}
