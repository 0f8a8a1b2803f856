/** Recordings of real programs (record.ts), and the text that the screen makes of one. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { EmulatedScreen, type Size } from '../../../agents/terminal/screen.ts';

export const SCREENS = fileURLToPath(new URL('./screens', import.meta.url));

export const RECORDED = [
  'npm-install',
  'spinner',
  'progress-bar',
  'vim',
  'wide-characters',
  'colours-24-bit',
  'resize',
  'redraws',
  'tui',
  'flood',
] as const;

export type CastEvent =
  { readonly kind: 'output'; readonly bytes: Buffer } | { readonly kind: 'resize'; readonly size: Size };

export interface Cast {
  readonly size: Size;
  /** Output between two resizes is one event. */
  readonly events: readonly CastEvent[];
}

export function readCast(name: string): Cast {
  const [header = '', ...lines] = gunzipSync(readFileSync(path.join(SCREENS, `${name}.cast.gz`)))
    .toString('utf8')
    .trimEnd()
    .split('\n');
  const { width: cols, height: rows } = JSON.parse(header) as { width: number; height: number };
  const events: CastEvent[] = [];
  let output = '';
  const flush = (): void => {
    if (output !== '') events.push({ kind: 'output', bytes: Buffer.from(output) });
    output = '';
  };
  for (const line of lines) {
    const [, code, text] = JSON.parse(line) as [number, string, string];
    if (code === 'o') output += text;
    if (code !== 'r') continue;
    flush();
    const [width = 0, height = 0] = text.split('x').map(Number);
    events.push({ kind: 'resize', size: { cols: width, rows: height } });
  }
  flush();
  return { size: { cols, rows }, events };
}

/** `cut` says how long the next piece of the output is. */
export async function textOf({ size, events }: Cast, cut: (left: number) => number = (left) => left): Promise<string> {
  let text = '';
  const screen = new EmulatedScreen(size, { onText: (more) => (text += more), onReply: () => {} });
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for (const event of events) {
    if (event.kind === 'resize') {
      await screen.resize(event.size);
      continue;
    }
    for (let rest = event.bytes; rest.length > 0;) {
      const piece = rest.subarray(0, cut(rest.length));
      rest = rest.subarray(piece.length);
      screen.write(decoder.decode(piece, { stream: true }));
    }
  }
  await screen.finish();
  return text;
}
