/**
 * Reads all output of a program, even if the program ends while this process is busy. node-pty 1.2 destroys the
 * terminal's socket 200 ms after the program's end, even if the socket still has unread data, so on a loaded machine
 * the last lines are lost. This module destroys the socket only after no more data arrives, and reads the terminal once
 * more before that. The last read is necessary because libuv treats a hangup after a read that did not fill its buffer
 * as the end of the output, although the kernel may still hold a line (measured: 1 of 2,000 programs on a busy
 * machine).
 *
 * Not covered: a process that the program left in the terminal and that continues to print, because the wait is
 * limited.
 */
import { readSync } from 'node:fs';
import { setImmediate as afterSocketReads, setTimeout as sleep } from 'node:timers/promises';
import type { Socket } from 'node:net';
import type { IPty } from 'node-pty';

const SILENT_MS = 50;
const BOUND_MS = 5_000;
/**
 * The maximum number of bytes of the last read, more than the kernel's buffer of a terminal. The limit exists because a
 * process that continues to print must not block this process.
 */
const REST_BYTES = 1024 * 1024;

/**
 * Installs the reader. Call it immediately after the spawn. The field `_socket` is internal to node-pty, so node-pty's
 * version is pinned, and the conformance suite floods the terminal to check that all output arrives.
 */
export function readToTheEnd(pty: IPty): void {
  const { _socket: socket, fd } = pty as IPty & { readonly _socket?: Socket; readonly fd?: number };
  if (!socket || fd === undefined) return;
  const destroyNow = socket.destroy.bind(socket);
  const destroy = (error?: Error): Socket => {
    if (!socket.destroyed) readRest(socket, fd);
    return destroyNow(error);
  };
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
    // Node reads sockets after the timers and before `setImmediate`. So `bytesRead` now includes the data that arrived
    // during the sleep.
    await afterSocketReads();
  }
  destroy();
}

/**
 * Emits the bytes that the paused socket has read, and then the bytes that the kernel holds. The descriptor does not
 * block.
 */
function readRest(socket: Socket, fd: number): void {
  while (socket.read() !== null); // the read emits the data
  const buffer = Buffer.alloc(64 * 1024);
  for (let left = REST_BYTES; left > 0;) {
    let bytes: number;
    try {
      bytes = readSync(fd, buffer);
    } catch {
      return; // EAGAIN: nothing to read; EIO: no process has the terminal open, and all output was read
    }
    if (bytes === 0) return;
    left -= bytes;
    socket.emit('data', Buffer.from(buffer.subarray(0, bytes)));
  }
}
