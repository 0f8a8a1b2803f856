/** TLS in front of a Temporal server, with a certificate that only configured clients trust. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, type Socket } from 'node:net';
import path from 'node:path';
import { createServer } from 'node:tls';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface TlsProxy {
  readonly address: string;
  readonly authorityFile: string;
  /** That were made over TLS so far. */
  connections(): number;
  close(): Promise<void>;
}

export async function tlsProxy(dir: string, port: number): Promise<TlsProxy> {
  const [authorityFile, authorityKey] = [path.join(dir, 'authority.pem'), path.join(dir, 'authority.key')];
  const [certificateFile, keyFile] = [path.join(dir, 'server.pem'), path.join(dir, 'server.key')];
  const certify = (...args: string[]) =>
    run('openssl', ['req', '-x509', '-days', '1', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', ...args]); // prettier-ignore
  await certify('-subj', '/CN=authority', '-keyout', authorityKey, '-out', authorityFile);
  // One certificate for both would not do: the worker's library takes no authority for a server.
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'subjectAltName=DNS:localhost'];
  const signed = ['-CA', authorityFile, '-CAkey', authorityKey];
  await certify('-subj', '/CN=localhost', ...leaf, ...signed, '-keyout', keyFile, '-out', certificateFile);
  const sockets = new Set<Socket>();
  let count = 0;
  // gRPC insists on HTTP/2 being agreed on.
  const tls = { key: await readFile(keyFile), cert: await readFile(certificateFile), ALPNProtocols: ['h2'] };
  const server = createServer(tls, (client) => {
    count += 1;
    const upstream = connect(port, '127.0.0.1');
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  }); // prettier-ignore
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: listening } = server.address() as AddressInfo;
  return {
    address: `localhost:${listening}`,
    authorityFile,
    connections: () => count,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
