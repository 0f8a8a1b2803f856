/**
 * Where the pipes of programs that the runner starts come in: a socket in Linux' abstract namespace, which is
 * no file and is gone with this process. Any local user can connect to it; only who knows the token, made for
 * one program, is heard.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export type Connected = readonly [stdin: Socket, stdout: Socket, stderr: Socket];

export interface Pipes {
  readonly address: string;
  readonly token: string;
  readonly connected: Promise<Connected>;
  /** Nobody is expected any more; who came is sent away. */
  close(): void;
}

const GREETING_LIMIT_BYTES = 100;

export class PipeServer {
  readonly #address = `\0longhaul-${randomUUID()}`;
  #server: Promise<Server> | undefined;
  readonly #expected = new Map<string, (fd: number, socket: Socket) => void>();

  async expect(): Promise<Pipes> {
    await (this.#server ??= this.#listen());
    const token = randomUUID();
    const arrived: Socket[] = [];
    const connected = new Promise<Connected>((resolve) => {
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

  /** The first line says whose it is; what follows it is the program's. */
  #greet(socket: Socket): void {
    let heard = Buffer.alloc(0);
    socket.on('error', () => {}); // a broken pipe of a process that is going
    // By `readable` and not by `data`: whoever gets it finds it neither flowing nor paused.
    const listen = (): void => {
      const chunk: unknown = socket.read();
      if (chunk instanceof Buffer) heard = Buffer.concat([heard, chunk]);
      const end = heard.indexOf('\n');
      if (end === -1 && heard.length <= GREETING_LIMIT_BYTES) return;
      socket.off('readable', listen);
      const [, token = '', fd] = /^(\S+) ([012])$/.exec(heard.toString('latin1', 0, end)) ?? [];
      const admit = this.#expected.get(token);
      if (admit === undefined) {
        socket.destroy();
        return;
      }
      const rest = heard.subarray(end + 1);
      if (rest.length > 0) socket.unshift(rest);
      admit(Number(fd), socket);
    };
    socket.on('readable', listen);
  }
}
