import xterm from '@xterm/headless';
import { expect, test } from 'vitest';
import { ReplayScreen } from '../../cli/replay-screen.ts';

/** A real terminal of 20 × 6 with two lines of a shell, in which the recording is played and ended. */
async function after(recorded: string): Promise<{ lines: string[]; terminal: InstanceType<typeof xterm.Terminal> }> {
  const terminal = new xterm.Terminal({ cols: 20, rows: 6, allowProposedApi: true });
  const screen = new ReplayScreen();
  screen.note(recorded);
  const rest = '$ ls\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6';
  await new Promise<void>((resolve) => {
    terminal.write(`$ cat a\r\n$ longhaul replay\r\n${recorded}${screen.restore()}${rest}`, resolve);
  });
  const { active } = terminal.buffer;
  const lines = Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? '');
  return { lines, terminal };
}

test.each([
  ['plain text', 'hello'],
  ['a scroll region', '\u001b[2;3rhello', 'hello a'],
  ['origin mode in a region', '\u001b[2;3r\u001b[?6hhello', '$ cat a', 'helloghaul replay'],
  ['colours and a hidden cursor', '\u001b[41;1m\u001b[?25lhello'],
  ['line drawing letters', '\u001b(0hello'],
  ['the alternate screen', 'hello\u001b[?1049h\u001b[2;3r\u001b[Hvim'],
  ['the mouse, pasting, keys, no wrapping', 'hello\u001b[?1000h\u001b[?1006h\u001b[?2004h\u001b[?1h\u001b=\u001b[?7l'],
])(
  'after %s the shell continues below, in an ordinary terminal that scrolls as a whole',
  async (_what, recorded, first = '$ cat a', second = '$ longhaul replay') => {
    const { lines, terminal } = await after(recorded);
    expect(terminal.buffer.active.type).toBe('normal');
    // The last lines of the shell in order, and nothing of it written over: the whole screen scrolls.
    expect(lines.slice(-6)).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(lines.slice(0, 2)).toEqual([first, second]);
    const cell = terminal.buffer.active.getLine(terminal.buffer.active.length - 1)?.getCell(0);
    expect([cell?.isBold(), cell?.isBgDefault()]).toEqual([0, true]);
    expect(terminal.modes).toMatchObject({
      mouseTrackingMode: 'none',
      bracketedPasteMode: false,
      applicationCursorKeysMode: false,
      originMode: false,
      wraparoundMode: true,
    });
  },
);
