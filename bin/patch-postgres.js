// Importing this module patches postgres 3.4.9 in node_modules, unless it is patched already. npm runs it after an
// install in a checkout, bin/longhaul.js before anything else; the published package contains a patched copy, so that
// nothing has to run when it is installed. store/sql.ts refuses a copy that is not patched.
//
// When a connection dies, that version may end the process or never respond again (github.com/porsager/postgres, issues
// 1154 and 1208, pull requests 1176 and 1209):
//
// - a small write waits for setImmediate; if the socket is gone by then, a TypeError is thrown that no caller can
// catch;
//
// - a close cancels that immediate but keeps its handle and the bytes, so the connection never writes again;
//
// - a query that was added between the socket's error and its close is never answered;
//
// - the driver's own query of the array types rejects, and no handler is attached.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const VERSION = '3.4.9';
const MARK = '/* patched by longhaul */';
/**
 * Marks that earlier versions of this file wrote, and the marks that replace them. The old marks may still exist,
 * because a checkout keeps its node_modules.
 */
const FORMER_MARKS = [
  ['/* mended by longhaul */', MARK],
  ['mendedByLonghaul', 'patchedByLonghaul'],
];

/** Each of the replaced texts occurs exactly once in a file of postgres 3.4.9. */
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

/** The mark that store/sql.ts looks for. It is written last, so it proves that the other replacements were made. */
const SIGN = [[`Object.assign(Postgres, {`, `Object.assign(Postgres, { ${MARK} patchedByLonghaul: true,`]];

const root = new URL(import.meta.resolve('postgres'));
const manifest = JSON.parse(readFileSync(new URL('../package.json', root), 'utf8'));
if (manifest.version !== VERSION) {
  throw new Error(
    `postgres: expected version ${VERSION}, found ${manifest.version} in ${fileURLToPath(root)}. Install Longhaul again. As a developer of Longhaul, check whether that version still needs bin/patch-postgres.js.`,
  );
}
for (const folder of ['./', '../cjs/src/']) {
  patch(new URL(`${folder}connection.js`, root), REPLACEMENTS);
  patch(new URL(`${folder}index.js`, root), SIGN);
}

function patch(file, replacements) {
  const found = readFileSync(file, 'utf8');
  let text = FORMER_MARKS.reduce((marked, [from, to]) => marked.replaceAll(from, () => to), found);
  for (const [from, to] of text.includes(MARK) ? [] : replacements) {
    if (text.split(from).length !== 2) throw new Error(`${fileURLToPath(file)}: expected once: ${from}`);
    text = text.replace(from, () => to);
  }
  if (text === found) return;
  // Written by a rename, so that no process loads an incomplete file. If the file is a hard link of a package cache,
  // the cache is not changed.
  const draft = new URL(`${file.href}.${process.pid}`);
  writeFileSync(draft, text);
  renameSync(draft, file);
}
