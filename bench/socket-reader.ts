/**
 * Readers of frames over WebSockets in a process of their own, like a page or a product's backend. The process records
 * when each message arrived and parses it afterwards, because otherwise a hundred readers in one process would measure
 * each other.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';

export interface SocketRequest {
  /** The URLs of the sockets, one for each reader. */
  readonly urls: readonly string[];
  readonly token: string | undefined;
}

export interface SocketResult {
  /** Latency of each token at each reader, in ms, in the order of arrival. */
  readonly latenciesMs: readonly number[];
}

const now = (): number => performance.timeOrigin + performance.now();

interface Arrival {
  readonly at: number;
  readonly text: Buffer;
}

async function read(url: string, token: string | undefined): Promise<Arrival[]> {
  const arrivals: Arrival[] = [];
  const socket = new WebSocket(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
  socket.on('message', (text: Buffer) => {
    arrivals.push({ at: now(), text });
    // The frame with the task's final state is the last one that matters.
    if (text.includes('"task_state"') && /"state": ?"(completed|failed|cancelled)"/.test(text.toString()))
      socket.close();
  });
  const [code] = (await once(socket, 'close')) as [number];
  if (code !== 1005) throw new Error(`${url} was closed with ${code}`);
  return arrivals;
}

async function readAll({ urls, token }: SocketRequest): Promise<SocketResult> {
  const arrivals = (await Promise.all(urls.map((url) => read(url, token)))).flat().toSorted((a, b) => a.at - b.at);
  const latenciesMs = arrivals.flatMap(({ at, text }) => {
    const frames = JSON.parse(text.toString()) as { type: string; content?: string }[];
    const said = frames.map(({ type, content }) => (type === 'delta' ? content : '')).join('');
    // Each token contains the time of its emission (agents/token-stream.js).
    return [...said.matchAll(/\d+-(\d+\.\d+) /g)].map(([, emitted]) => at - Number(emitted));
  });
  return { latenciesMs };
}

process.on('message', (request: SocketRequest) => {
  readAll(request).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
