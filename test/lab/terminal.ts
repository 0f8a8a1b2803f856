/** A command in a terminal, and what a person reads there: a pseudo-terminal with a screen that reflows as real ones do. */
import xterm from '@xterm/headless';
import { type IPty, spawn } from 'node-pty';
import { until } from './until.ts';

interface Size {
  readonly cols: number;
  readonly rows: number;
}

export class LabTerminal {
  readonly exited: Promise<number>;
  /** Clears of the whole screen from its first row and column: tmux moves what they remove into its history. */
  clearedFromTop = 0;
  #chunks = 0;
  readonly #pty: IPty;
  readonly #screen: InstanceType<typeof xterm.Terminal>;

  constructor(file: string, args: string[], options: Size & { cwd: string; env: Record<string, string> }) {
    const { cols, rows, cwd, env } = options;
    this.#screen = new xterm.Terminal({ cols, rows, scrollback: 10_000, allowProposedApi: true });
    this.#screen.parser.registerCsiHandler({ final: 'J' }, () => {
      const { cursorX, cursorY } = this.#screen.buffer.active;
      if (cursorX === 0 && cursorY === 0) this.clearedFromTop += 1;
      return false;
    });
    this.#pty = spawn(file, args, { name: 'xterm-256color', cols, rows, cwd, env });
    this.#pty.onData((data) => {
      this.#chunks += 1;
      this.#screen.write(data);
    });
    this.exited = new Promise((resolve) => this.#pty.onExit(({ exitCode }) => resolve(exitCode)));
  }

  get pid(): number {
    return this.#pty.pid;
  }

  type(keys: string): void {
    this.#pty.write(keys);
  }

  /** The screen reflows first, then the program hears of it. */
  resize({ cols, rows }: Size): void {
    this.#screen.resize(cols, rows);
    this.#pty.resize(cols, rows);
  }

  /** Each row as it is shown, from the first one that scrolled out at the top. */
  async rows(): Promise<string[]> {
    return (await this.#read()).map((row) => row.text.trimEnd());
  }

  /** Rows that the terminal itself broke are one line. */
  async lines(): Promise<string[]> {
    const lines: string[] = [];
    for (const { text, continues } of await this.#read()) {
      if (continues) lines.push((lines.pop() ?? '') + text);
      else lines.push(text);
    }
    return lines.map((line) => line.trimEnd());
  }

  async #read(): Promise<{ text: string; continues: boolean }[]> {
    await new Promise<void>((resolve) => this.#screen.write('', resolve));
    const { active } = this.#screen.buffer;
    return Array.from({ length: active.length }, (_, at) => {
      const line = active.getLine(at);
      return { text: line?.translateToString(false) ?? '', continues: line?.isWrapped === true };
    });
  }

  async shows(text: string): Promise<void> {
    await until(`the screen to show ${text}`, async () => (await this.rows()).some((row) => row.includes(text)));
  }

  /** The program has drawn twice since: the second time it knew of all that had happened before. */
  async redrawn(): Promise<void> {
    const before = this.#chunks;
    await until('the screen to be drawn again', () => this.#chunks >= before + 3);
  }

  async close(): Promise<void> {
    this.#pty.kill('SIGKILL');
    await this.exited;
    this.#screen.dispose();
  }
}
