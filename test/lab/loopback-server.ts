/** An HTTP server on a loopback port that stands for a service on the network: the test gives its replies. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export abstract class LoopbackServer {
  /** Requests that were not answered because of a mistake in the test. */
  readonly faults: string[] = [];
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      this.serve(request, response).catch((error: unknown) => {
        this.faults.push(String(error));
        response.destroy();
      });
    });
  }

  protected abstract serve(request: IncomingMessage, response: ServerResponse): Promise<void>;

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Returns one reply after the other, for any request. `shown`: the part of a request that the failure names. */
export function repliesInOrder<Request, Reply>(
  replies: readonly Reply[],
  shown: (request: Request) => string,
): (request: Request) => Reply {
  const left = [...replies];
  return (request) => {
    const next = left.shift();
    if (next !== undefined) return next;
    throw new Error(`the model got one more request than the test has replies: ${shown(request)}`);
  };
}
