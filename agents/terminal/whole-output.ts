/**
 * Reads all output of a program, also if the program ends while this process is busy. node-pty 1.2 destroys the terminal's
 * socket 200 ms after the program's end, whether or not it was read to its end, so that a loaded machine loses the last lines.
 * This module destroys the socket once it is silent.
 *
 * Not covered: a process that the program left in the terminal and that continues to print, because the wait is bounded.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Socket } from 'node:net';
import type { IPty } from 'node-pty';

const SILENT_MS = 50;
const BOUND_MS = 5_000;

/** Called right after the spawn. The field is node-pty's own; its version is pinned, and the conformance suite floods the terminal. */
export function readToTheEnd(pty: IPty): void {
  const { _socket: socket } = pty as IPty & { readonly _socket?: Socket };
  if (!socket) return;
  const destroy = socket.destroy.bind(socket);
  let ending = false;
  socket.destroy = (error) => {
    if (error || socket.readableEnded) return destroy(error);
    if (!ending) void destroyWhenSilent(socket, destroy);
    ending = true;
    return socket;
  };
}

async function destroyWhenSilent(socket: Socket, destroy: () => Socket): Promise<void> {
  const deadline = performance.now() + BOUND_MS;
  for (let seen = -1; seen !== socket.bytesRead && performance.now() < deadline && !socket.destroyed;) {
    seen = socket.bytesRead;
    await sleep(SILENT_MS);
    // Data that arrived meanwhile is read between the timer and this turn of the event loop.
    await nextTurn();
  }
  destroy();
}
