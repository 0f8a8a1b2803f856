/**
 * Accepts the pipes of programs that the runner starts, on a socket in Linux' abstract namespace. Such a socket is no
 * file and disappears with this process.
 *
 * Any local user can connect to the socket, so a connection is accepted only with the token of one program. Connections
 * that have not sent a token yet are limited in time and number, so that another user cannot use up the file
 * descriptors of this process. Not covered: a user who connects faster than this process can read.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export type ProgramSockets = readonly [stdin: Socket, stdout: Socket, stderr: Socket];

export interface Pipes {
  readonly address: string;
  readonly token: string;
  readonly connected: Promise<ProgramSockets>;
  /** Refuses further connections of this program and closes the open ones. */
  close(): void;
}

const GREETING_LIMIT_BYTES = 100;
/**
 * The runner sends the token immediately after it connects. The timeout is longer because the machine may be under
 * load.
 */
const GREETING_TIMEOUT_MS = 10_000;
/**
 * When this many connections lack a token, the server closes the oldest of them. The runner's own connections lack a
 * token for milliseconds only.
 */
const MAX_UNPROVEN = 200;

export interface PipeLimits {
  readonly greetingTimeoutMs: number;
  readonly maxUnproven: number;
}

export class PipeServer {
  readonly #address = `\0longhaul-${randomUUID()}`;
  #server: Promise<Server> | undefined;
  readonly #expected = new Map<string, (fd: number, socket: Socket) => void>();
  /** The connections that have not sent a token, oldest first. */
  readonly #unproven = new Set<Socket>();
  readonly #limits: PipeLimits;

  /** The limits are parameters for tests only. */
  constructor(limits: Partial<PipeLimits> = {}) {
    this.#limits = { greetingTimeoutMs: GREETING_TIMEOUT_MS, maxUnproven: MAX_UNPROVEN, ...limits };
  }

  async expect(): Promise<Pipes> {
    await (this.#server ??= this.#listen());
    const token = randomUUID();
    const arrived: Socket[] = [];
    const connected = new Promise<ProgramSockets>((resolve) => {
      this.#expected.set(token, (fd, socket) => {
        arrived[fd] = socket;
        const [stdin, stdout, stderr] = arrived;
        if (!stdin || !stdout || !stderr) return;
        this.#expected.delete(token);
        resolve([stdin, stdout, stderr]);
      });
    });
    const close = (): void => {
      this.#expected.delete(token);
      for (const socket of arrived) socket?.destroy();
    };
    return { address: this.#address, token, connected, close };
  }

  async #listen(): Promise<Server> {
    const server = createServer((socket) => this.#greet(socket));
    server.unref();
    server.listen(this.#address);
    await once(server, 'listening');
    return server;
  }

  /**
   * Reads the first line of a connection, `TOKEN FD`, which names the program. All later bytes belong to the program.
   */
  #greet(socket: Socket): void {
    let greeting = Buffer.alloc(0);
    socket.on('error', () => {}); // the pipe breaks when the process at its other end exits
    const settle = this.#limitGreeting(socket);
    // Uses `readable`, not `data`, because the receiver must get the socket neither flowing nor paused.
    const listen = (): void => {
      const chunk: unknown = socket.read();
      if (chunk instanceof Buffer) greeting = Buffer.concat([greeting, chunk]);
      const end = greeting.indexOf('\n');
      if (end === -1 && greeting.length <= GREETING_LIMIT_BYTES) return;
      socket.off('readable', listen);
      settle();
      const [, token = '', fd] = /^(\S+) ([012])$/.exec(greeting.toString('latin1', 0, end)) ?? [];
      const admit = this.#expected.get(token);
      if (admit === undefined) {
        socket.destroy();
        return;
      }
      const rest = greeting.subarray(end + 1);
      if (rest.length > 0) socket.unshift(rest);
      admit(Number(fd), socket);
    };
    socket.on('readable', listen);
  }

  /** Limits a connection without a token in time and number. Returns the function that removes these limits. */
  #limitGreeting(socket: Socket): () => void {
    // This process may have been too busy to read a token that has arrived. So the token is read before the connection
    // is closed.
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (this.#unproven.has(socket)) socket.destroy();
      });
    }, this.#limits.greetingTimeoutMs);
    timer.unref();
    const settle = (): void => {
      clearTimeout(timer);
      this.#unproven.delete(socket);
    };
    socket.once('close', settle);
    this.#unproven.add(socket);
    const [oldest] = this.#unproven;
    if (this.#unproven.size > this.#limits.maxUnproven) oldest?.destroy();
    return settle;
  }
}
