/**
 * Limits the number of connections. Each one is a file descriptor, and Postgres, Temporal, git and the log need some,
 * too: the backend must never run out of descriptors.
 *
 * A connection is *unproven* until a request with the right token has come over it. Part of the limit is reserved for
 * unproven connections. They may also use what proven ones do not need, so that many clients can reconnect at once. If
 * the whole limit is used, the address with the most unproven connections loses the one that was silent longest. So
 * silent or slow clients without the token block neither a health check nor a client that has the token. This module
 * never closes proven connections; if there are too many, the next request that would prove one gets a 503.
 *
 * Not covered: a client that has the token and opens connections without need.
 */
import type { Socket } from 'node:net';
import { report } from 'node:process';

/**
 * Descriptors that clients may not use: the idle backend has 36 open, and each statement in flight and each git process
 * may need one.
 */
const RESERVED_DESCRIPTORS = 100;
/** The highest limit, however many descriptors the process may have, because each connection also needs memory. */
const MAX_CONNECTIONS = 10_000;
const MAX_UNPROVEN = 256;
/** The lowest limit, even if the process may have very few descriptors. */
const MIN_CONNECTIONS = 16;

/** The sum of both numbers is the most connections that are open at once. */
export interface ConnectionLimits {
  readonly proven: number;
  /** Reserved for unproven connections. */
  readonly unproven: number;
}

/** Returns the limits for a process that may have `openFiles` descriptors open. */
export function connectionLimits(openFiles: number = maxOpenFiles()): ConnectionLimits {
  const all = Math.min(MAX_CONNECTIONS, Math.max(MIN_CONNECTIONS, openFiles - RESERVED_DESCRIPTORS));
  const unproven = Math.min(MAX_UNPROVEN, Math.floor(all / 4));
  return { unproven, proven: all - unproven };
}

/** Returns the soft limit of open files, which Node raises to the hard limit when it starts. */
function maxOpenFiles(): number {
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

/** The open connections of an HTTP server, unproven and proven. Refuses unproven connections if there are too many. */
export class Connections {
  readonly limits: ConnectionLimits;
  readonly #refuse: (socket: Socket) => void;
  readonly #proven = new Set<Socket>();
  /** The address of each unproven connection. The connection that was silent longest comes first. */
  readonly #unproven = new Map<Socket, string>();

  /** `refuse`: answers and closes an unproven connection, so that a new one has room. */
  constructor(limits: ConnectionLimits, refuse: (socket: Socket) => void) {
    this.limits = limits;
    this.#refuse = refuse;
  }

  /** Counts a new connection as unproven. If the limit is exceeded, an unproven connection is refused. */
  admit(socket: Socket): void {
    if (this.#proven.has(socket) || this.#unproven.has(socket)) return;
    this.#unproven.set(socket, socket.remoteAddress ?? '');
    socket.once('close', () => {
      this.#unproven.delete(socket);
      this.#proven.delete(socket);
    });
    const { proven, unproven } = this.limits;
    if (this.#proven.size + this.#unproven.size > proven + unproven) this.#makeRoom();
  }

  /** Notes that a request has come over the connection, so that it is the last to be refused. */
  touch(socket: Socket): void {
    const address = this.#unproven.get(socket);
    if (address === undefined) return;
    this.#unproven.delete(socket);
    this.#unproven.set(socket, address);
  }

  /**
   * Notes that a request with the right token has come over the connection. Returns false if too many connections are
   * proven.
   */
  prove(socket: Socket): boolean {
    if (this.#proven.has(socket)) return true;
    if (this.#proven.size >= this.limits.proven) return false;
    // A connection that was closed meanwhile is in neither collection and is not added.
    if (this.#unproven.delete(socket)) this.#proven.add(socket);
    return true;
  }

  #makeRoom(): void {
    const counts = new Map<string, number>();
    for (const address of this.#unproven.values()) counts.set(address, (counts.get(address) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const [socket, address] of this.#unproven) {
      if (counts.get(address) !== most) continue;
      this.#unproven.delete(socket);
      return this.#refuse(socket);
    }
  }
}
