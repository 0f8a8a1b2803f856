/**
 * The grammar of the demo agent. Each sentence is one instruction; a sentence ends at a full stop before white space,
 * or at the end of the line. `"…"` quotes a text, with the escapes \n, \t, \" and \\.
 *
 *   write FILE with TEXT        append TEXT to FILE (or: append to FILE with TEXT)
 *   delete FILE                 rename FILE to FILE
 *   say TEXT                    think [about TEXT]            plan
 *   ask before FILE             run PROGRAM ARGUMENTS…        (no shell; `run sh -c "…"` has one)
 *   slowly [over N seconds]     flood N MB
 *   crash [once]                hang                          refuse
 *
 * A written or appended text ends with a newline, added if missing. An instruction may begin with `please`, `then`,
 * `and`, `first` or `finally`. The agent answers every other sentence.
 */
export type Instruction =
  | { readonly kind: 'write'; readonly file: string; readonly text: string }
  | { readonly kind: 'append'; readonly file: string; readonly text: string }
  | { readonly kind: 'delete'; readonly file: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'think'; readonly text: string }
  | { readonly kind: 'plan' }
  | { readonly kind: 'ask'; readonly file: string }
  | { readonly kind: 'run'; readonly command: string; readonly words: readonly string[] }
  | { readonly kind: 'slowly'; readonly seconds: number }
  | { readonly kind: 'flood'; readonly megabytes: number }
  /** With `once`, the agent does not crash again when the session is loaded afterwards. */
  | { readonly kind: 'crash'; readonly once: boolean }
  | { readonly kind: 'hang' }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'answer'; readonly text: string };

const SLOWLY_SECONDS = 20;
const FILE = String.raw`("(?:[^"\\]|\\.)*"|\S+)`;

/** Returns the text without its quotes and with its escapes replaced. */
export function unquote(text: string): string {
  const trimmed = text.trim();
  if (trimmed.length < 2 || !trimmed.startsWith('"') || !trimmed.endsWith('"')) return trimmed;
  const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t' };
  return trimmed.slice(1, -1).replace(/\\(.)/g, (_, character: string) => escapes[character] ?? character);
}

/** Splits a command line into words at white space. Text in `"…"` or `'…'` is kept together. */
export function splitWords(line: string): string[] {
  const words = line.match(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) =>
    word.replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, double?: string, single?: string) =>
      double === undefined ? (single ?? '') : unquote(`"${double}"`),
    ),
  );
}

const line = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`);

type Make = (first: string, second: string) => Instruction;

const GRAMMAR: readonly (readonly [RegExp, Make])[] = [
  [RegExp(`^write ${FILE} with (.+)$`, 'is'), (file, text) => ({ kind: 'write', file, text: line(text) })],
  [RegExp(`^append to ${FILE} with (.+)$`, 'is'), (file, text) => ({ kind: 'append', file, text: line(text) })],
  [RegExp(`^append (.+) to ${FILE}$`, 'is'), (text, file) => ({ kind: 'append', file, text: line(text) })],
  [RegExp(`^delete ${FILE}$`, 'i'), (file) => ({ kind: 'delete', file })],
  [RegExp(`^rename ${FILE} to ${FILE}$`, 'i'), (from, to) => ({ kind: 'rename', from, to })],
  [/^say (.+)$/is, (text) => ({ kind: 'say', text })],
  [/^think(?: about (.+))?$/is, (text) => ({ kind: 'think', text: text || 'what was asked, word by word' })],
  [/^plan$/i, () => ({ kind: 'plan' })],
  [RegExp(`^ask before ${FILE}$`, 'i'), (file) => ({ kind: 'ask', file })],
  [
    /^slowly(?: over (\d+) seconds?)?$/i,
    (seconds) => ({ kind: 'slowly', seconds: seconds === '' ? SLOWLY_SECONDS : Number(seconds) }),
  ],
  [/^flood (\d+) ?MB$/i, (megabytes) => ({ kind: 'flood', megabytes: Number(megabytes) })],
  [/^crash( once)?$/i, (once) => ({ kind: 'crash', once: once !== '' })],
  [/^hang$/i, () => ({ kind: 'hang' })],
  [/^refuse$/i, () => ({ kind: 'refuse' })],
];

function parseSentence(sentence: string): Instruction {
  // A command may be written as for other agents: `/write hello.txt with Hello`.
  const plain = sentence.replace(/^\/(?=[a-z]+\b)|^(?:(?:please|then|and|first|finally)[, ]+)+/i, '');
  const run = /^run (.+)$/is.exec(plain)?.[1];
  if (run !== undefined) return { kind: 'run', command: run, words: splitWords(run) };
  for (const [pattern, make] of GRAMMAR) {
    const match = pattern.exec(plain);
    if (match !== null) return make(unquote(match[1] ?? ''), unquote(match[2] ?? ''));
  }
  return { kind: 'answer', text: sentence };
}

function sentences(prompt: string): string[] {
  // A part is a quoted text, or the text up to the end of the line or to a full stop before white space.
  const parts = prompt.match(/(?:"(?:[^"\\]|\\.)*"|(?!\.(?:\s|$))[^\n])+/g) ?? [];
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

/** Parses a prompt. Consecutive sentences that are not instructions become one answer. */
export function parseInstructions(prompt: string): Instruction[] {
  const result: Instruction[] = [];
  for (const sentence of sentences(prompt)) {
    const next = parseSentence(sentence.replace(/^\.+\s*/, ''));
    const last = result.at(-1);
    if (next.kind === 'answer' && last?.kind === 'answer') {
      result[result.length - 1] = { kind: 'answer', text: `${last.text}. ${next.text}` };
    } else {
      result.push(next);
    }
  }
  return result;
}

/** Returns the instruction as one line, for plans and titles. */
export function describe(instruction: Instruction): string {
  switch (instruction.kind) {
    case 'write':
    case 'append':
    case 'delete':
      return `${instruction.kind[0]?.toUpperCase()}${instruction.kind.slice(1)} ${instruction.file}`;
    case 'rename':
      return `Rename ${instruction.from} to ${instruction.to}`;
    case 'ask':
      return `Ask before ${instruction.file}`;
    case 'run':
      return `Run ${instruction.command}`;
    case 'answer':
      return 'Answer and write NOTES.md';
    case 'say':
    case 'think':
    case 'plan':
    case 'slowly':
    case 'flood':
    case 'crash':
    case 'hang':
    case 'refuse':
      return `${instruction.kind[0]?.toUpperCase()}${instruction.kind.slice(1)}`;
  }
}
