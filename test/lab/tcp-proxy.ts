/**
 * A TCP proxy in front of Postgres that loses answers (the server has done its work, the client never hears), cuts
 * connections, and refuses new ones.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface TcpProxy {
  readonly url: string;
  /** From now on answers are swallowed, from the client's next bytes on that contain `after` (none: at once). */
  loseAnswers(after?: string): void;
  /** Cuts all connections. New ones work as they should. */
  cut(): void;
  /** Cuts all connections; until `accept` new ones are refused. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  close(): Promise<void>;
}

export async function tcpProxy(databaseUrl: string): Promise<TcpProxy> {
  const target = new URL(databaseUrl);
  const pairs = new Set<readonly [Socket, Socket]>();
  let losing = false;
  let trigger: string | undefined;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    client.on('data', (bytes) => {
      if (trigger !== undefined && bytes.includes(trigger)) {
        losing = true;
        trigger = undefined;
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (!losing) client.write(bytes);
    });
    for (const [one, other] of [pair, [upstream, client] as const]) {
      one.on('error', () => {});
      one.on('close', () => {
        pairs.delete(pair);
        other.destroy();
      });
    }
  });
  const listenOn = (port: number): Promise<void> =>
    new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  await listenOn(0);
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  const cut = (): void => {
    losing = false;
    for (const [client, upstream] of pairs) {
      client.destroy();
      upstream.destroy();
    }
  };
  const refuse = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    cut();
    await closed;
  };
  return {
    url: url.href,
    loseAnswers: (after) => {
      if (after === undefined) losing = true;
      else trigger = after;
    },
    cut,
    refuse,
    accept: () => listenOn(Number(url.port)),
    close: refuse,
  };
}
