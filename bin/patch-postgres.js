// Mends postgres 3.4.9 in node_modules; run after every install. When a connection dies, that version may end the
// process or never answer again (github.com/porsager/postgres, issues 1154 and 1208, pull requests 1176 and 1209):
// - a small write waits for setImmediate; if the socket is gone by then, a TypeError is thrown that nobody can catch;
// - a close cancels that immediate but keeps its handle and the bytes, so the connection never writes again;
// - a query that was added between the socket's error and its close is never answered;
// - the driver's own look at the array types rejects without anybody listening.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const VERSION = '3.4.9';
const MARK = '/* mended by longhaul */';

/** Each text occurs exactly once in the version above. */
const REPLACEMENTS = [
  [
    `  function nextWrite(fn) {
    const x = socket.write(chunk, fn)`,
    `  function nextWrite(fn) { ${MARK}
    if (!socket) {
      nextWriteTimer !== null && clearImmediate(nextWriteTimer)
      chunk = nextWriteTimer = null
      error(Errors.connection('CONNECTION_CLOSED', options))
      return false
    }
    const x = socket.write(chunk, fn)`,
  ],
  [
    `    clearImmediate(nextWriteTimer)
    if (socket) {`,
    `    clearImmediate(nextWriteTimer)
    chunk = nextWriteTimer = null
    if (socket) {`,
  ],
  [
    `    clearImmediate(nextWriteTimer)
    socket.removeListener('data', data)`,
    `    clearImmediate(nextWriteTimer)
    chunk = nextWriteTimer = null
    socket.removeListener('data', data)`,
  ],
  [`    !hadError && (query || sent.length) && error(`, `    ;(query || sent.length) && error(`],
  [`        return fetchArrayTypes()`, `        return fetchArrayTypes().catch(noop)`],
];

const root = new URL(import.meta.resolve('postgres'));
const manifest = JSON.parse(readFileSync(new URL('../package.json', root), 'utf8'));
if (manifest.version !== VERSION) {
  throw new Error(
    `postgres: expected version ${VERSION}, found ${manifest.version}. Look whether it still needs this patch.`,
  );
}
for (const file of [new URL('./connection.js', root), new URL('../cjs/src/connection.js', root)]) mend(file);

function mend(file) {
  let text = readFileSync(file, 'utf8');
  if (text.includes(MARK)) return;
  for (const [from, to] of REPLACEMENTS) {
    if (text.split(from).length !== 2) throw new Error(`${fileURLToPath(file)}: expected once: ${from}`);
    text = text.replace(from, () => to);
  }
  // In one step, so that nobody ever loads half a file; also where the file is a hard link of a package cache.
  const draft = new URL(`${file.href}.${process.pid}`);
  writeFileSync(draft, text);
  renameSync(draft, file);
}
