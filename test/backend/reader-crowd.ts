/**
 * Many readers of one session, as a process of their own: argv is the socket's URL, the token, how many, and the last
 * number. Writes `open` once all are connected and `done` once each has come to that number; a reader that is closed as
 * too slow comes back with its cursor. What it gets is not kept.
 */
import { WebSocket } from 'ws';

const [url = '', token = '', count = '0', last = '0'] = process.argv.slice(2);
let open = 0;
let done = 0;

function read(after: number, first: boolean): void {
  const socket = new WebSocket(`${url}?after=${after}`, { headers: { authorization: `Bearer ${token}` } });
  let at = after;
  socket.on('open', () => {
    if (first && (open += 1) === Number(count)) process.stdout.write('open\n');
  });
  socket.on('message', (data: Buffer) => {
    // The number of the last frame: parsing 20 MB five hundred times would be this process's work, not the backend's.
    const from = data.lastIndexOf('"seq":');
    at = Number(/\d+/.exec(data.subarray(from, from + 30).toString())?.[0]);
    if (at === Number(last) && (done += 1) === Number(count)) process.stdout.write('done\n');
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (at < Number(last)) setTimeout(() => read(at, false), 100); // as clients reconnect
  });
}

for (let n = 0; n < Number(count); n += 1) read(0, true);
process.stdin.resume().on('end', () => process.exit());
