/** Formats the output of a tool call for `run` and `watch`. */
import type { ToolCall } from '../contract/vocabulary.ts';
import { harmless } from './terminal.ts';

/** The number of lines that are shown of a command's output. The other lines are only counted. */
const SHOWN_LINES = 5;

/**
 * Returns the lines to show below a call that has ended: a command's output, or the reason if any other call failed.
 */
export function outputLines(call: ToolCall, verbose: boolean): string[] {
  if (call.kind !== 'execute' && call.status !== 'failed' && !verbose) return [];
  const lines = outputOf(call);
  if (verbose || lines.length <= SHOWN_LINES + 1) return lines;
  // The last lines are shown, because they tell how the command ended.
  const left = lines.length - SHOWN_LINES;
  return [`… ${left} more lines (--verbose shows all)`, ...lines.slice(-SHOWN_LINES)];
}

function outputOf({ content, raw_output: raw }: ToolCall): string[] {
  const texts = content.flatMap((one) => (one.type === 'text' ? [one.text] : []));
  const text = texts.length > 0 ? texts.join('\n') : rawText(raw);
  const lines = harmless(overwritten(text)).trim().split('\n');
  // Agents wrap a command's output in a Markdown code block, whose first and last line are removed.
  const fenced = lines.length > 2 && /^```\w*$/.test(lines[0] ?? '') && lines.at(-1) === '```';
  const inner = fenced ? lines.slice(1, -1) : lines;
  return inner.length === 1 && inner[0] === '' ? [] : inner.map((line) => line.trimEnd());
}

/** Keeps only the last version of a line that a progress bar redrew. */
function overwritten(text: string): string {
  if (!text.includes('\r')) return text;
  const last = (line: string): string => line.split('\r').findLast((part) => part.trim() !== '') ?? '';
  return text.replaceAll('\r\n', '\n').split('\n').map(last).join('\n');
}

function rawText(raw: unknown): string {
  if (typeof raw === 'string') return raw;
  if (typeof raw !== 'object' || raw === null) return '';
  const fields: Readonly<Record<string, unknown>> = { ...raw };
  const found = ['output', 'stdout', 'error'].map((name) => fields[name]).find((value) => typeof value === 'string');
  return typeof found === 'string' ? found : '';
}
