/** HTTP byte by byte, as no well-behaved client sends it. */
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawExchange {
  /** As they came. */
  readonly answers: readonly RawAnswer[];
  /** Code of the error that ended the connection, or `undefined` where it ended in order. */
  readonly error: string | undefined;
}

export interface RawRequest {
  readonly url: string;
  readonly bytes: string | Buffer;
  /** How many answers to wait for; then the connection is ended from here. Default: until the server ends it. */
  readonly answers?: number;
  readonly localAddress?: string;
  /** Answers have none, whatever their length says: to HEAD. */
  readonly noBody?: boolean;
}

/** Everything is sent, whatever comes back; then what came is read. Fails where neither the answers nor the end come. */
export function exchange({
  url,
  bytes,
  answers: wanted = Infinity,
  localAddress,
  noBody,
}: RawRequest): Promise<RawExchange> {
  const { hostname, port } = new URL(url);
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port),
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0);
    let error: string | undefined;
    const late = setTimeout(() => {
      socket.destroy();
      reject(new Error(`neither an answer nor an end came: ${got.toString().slice(0, 500)}`));
    }, 20_000);
    socket.on('data', (chunk) => {
      got = Buffer.concat([got, chunk]);
      if (answersIn(got, noBody).length >= wanted) socket.destroy();
    });
    socket.on('error', (failure: NodeJS.ErrnoException) => {
      error = failure.code;
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      clearTimeout(late);
      resolve({ answers: answersIn(got, noBody), error });
    });
    socket.write(bytes);
  });
}

/** A connection that is open, on which nothing was said. */
export async function silent(url: string, localAddress?: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({
    host: hostname,
    port: Number(port),
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  socket.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('close', () => reject(new Error('refused')));
  });
  return socket;
}

export function requestText(line: string, headers: readonly string[], body: string | Buffer = ''): Buffer {
  return Buffer.concat([Buffer.from(`${[line, ...headers].join('\r\n')}\r\n\r\n`, 'latin1'), Buffer.from(body)]);
}

/** Each has a Content-Length, or comes to its end with the connection. */
function answersIn(got: Buffer, noBody = false): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = got; ;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return answers;
    const [line = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      lines.map((text) => [text.slice(0, text.indexOf(':')).toLowerCase(), text.slice(text.indexOf(':') + 1).trim()]),
    );
    const length = noBody ? 0 : Number(headers['content-length'] ?? 0);
    const body = rest.subarray(end + 4, end + 4 + length);
    if (body.length < length) return answers;
    answers.push({ status: Number(line.split(' ')[1]), headers, body: body.toString() });
    rest = rest.subarray(end + 4 + length);
  }
}
