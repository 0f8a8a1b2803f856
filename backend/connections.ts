/**
 * The limit of connections. Each one is a file descriptor, and Postgres, Temporal, git and the log need some,
 * too: the backend must never run out of them.
 *
 * A connection is *unproven* until a request with the right token has come over it. Part of the limit is reserved for
 * unproven connections. They may also use what proven ones do not need, so that many clients can reconnect at once. If
 * all of it is used, the address with the most unproven connections loses the one that was silent longest: so silent or
 * slow clients without the token block neither a health check nor a client that has it. This module never closes proven
 * connections; if there are too many, the next request that would prove one gets a 503.
 *
 * Not covered: a client that has the token and wastes it.
 */
import type { Socket } from 'node:net';
import { report } from 'node:process';

/** Descriptors that are not for clients: the idle backend has 36, each statement in flight and each git may need one. */
const RESERVED_DESCRIPTORS = 100;
/** The limit with any number of descriptors, because each connection also needs memory. */
const MAX_CONNECTIONS = 10_000;
const MAX_UNPROVEN = 256;
/** The limit of a process with very few descriptors. */
const MIN_CONNECTIONS = 16;

/** Together they are the most that are open at once. */
export interface ConnectionLimits {
  readonly proven: number;
  /** Reserved for unproven connections. */
  readonly unproven: number;
}

/** `openFiles`: how many descriptors this process may have. */
export function connectionLimits(openFiles: number = maxOpenFiles()): ConnectionLimits {
  const all = Math.min(MAX_CONNECTIONS, Math.max(MIN_CONNECTIONS, openFiles - RESERVED_DESCRIPTORS));
  const unproven = Math.min(MAX_UNPROVEN, Math.floor(all / 4));
  return { unproven, proven: all - unproven };
}

/** Node raises its soft limit to the hard one as it starts. */
function maxOpenFiles(): number {
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

export class Connections {
  readonly limits: ConnectionLimits;
  readonly #refuse: (socket: Socket) => void;
  readonly #proven = new Set<Socket>();
  /** The one that was silent longest comes first. */
  readonly #unproven = new Map<Socket, string>();

  /** `refuse`: answers an unproven connection that has to make room, and closes it. */
  constructor(limits: ConnectionLimits, refuse: (socket: Socket) => void) {
    this.limits = limits;
    this.#refuse = refuse;
  }

  /** A new one. */
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

  /** It has carried a request. */
  touch(socket: Socket): void {
    const address = this.#unproven.get(socket);
    if (address === undefined) return;
    this.#unproven.delete(socket);
    this.#unproven.set(socket, address);
  }

  /** That request had the right token. False: there are too many such connections. */
  prove(socket: Socket): boolean {
    if (this.#proven.has(socket)) return true;
    if (this.#proven.size >= this.limits.proven) return false;
    // One that was closed meanwhile says so no more.
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
