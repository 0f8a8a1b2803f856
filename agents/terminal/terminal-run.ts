/**
 * Runs a program in a pseudo-terminal, from its start to its end, and provides its output as text, its questions and
 * its recording. The program leads its own process session with this controlling terminal, so that job control and
 * /dev/tty work.
 *
 * Standard output and standard error are the same terminal, as they are for a person.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { spawn, type IPty } from 'node-pty';
import { tail } from '../../contract/cut-text.ts';
import { identify, type ProcessIdentity } from '../../processes/identity.ts';
import { DescendantTracker, DESCENDANTS_END_CHECK_MS, DESCENDANTS_CHECK_MS, sweep } from '../../processes/sweep.ts';
import { QuestionWatcher, type AskPermission } from './question-watcher.ts';
import { lastOutput } from './last-output.ts';
import type { Question } from './profiles/profile.ts';
import { TERM, type Recording } from './recording.ts';
import { EmulatedScreen, type Size } from './screen.ts';
import { ProgressDetector } from './progress-detector.ts';
import { readToTheEnd } from './whole-output.ts';

/**
 * The interval of `settleQuiet`. A line is settled after two intervals in which the program only wrote forwards
 * (screen.ts).
 */
const SETTLE_MS = 500;
/**
 * The wait after the first interrupt and after the second, in ms. Then the program is ended; the driver waits 5 s for
 * all of this.
 */
const INTERRUPT_GRACES_MS = [1_500, 1_000];
/**
 * If more characters wait for the parser, the reader pauses until they are interpreted. The parser takes several MB a
 * second.
 */
const PENDING_CHARS = 8 * 1024 * 1024;
const LAST_CHARS = 2_000;

export interface TerminalRunOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly size: Size;
  readonly questions: readonly Question[];
  readonly interrupt: string;
  readonly recording: Recording;
  /** If the signal aborts, the program is interrupted, and then ended with all its descendants. */
  readonly signal: AbortSignal;
  readonly onText: (text: string) => void;
  /** Called when the screen shows progress that is not yet text of the message (progress-detector.ts). */
  readonly onProgress: () => void;
  readonly ask: AskPermission;
}

export interface TerminalRunEnd {
  readonly exitCode: number;
  /** The number of the signal that ended the program, or 0. */
  readonly signal: number;
  readonly anyText: boolean;
  /** The end of the program's output, as a person reads it. */
  readonly lastOutput: string;
}

export class TerminalRun {
  readonly result: Promise<TerminalRunEnd>;
  readonly #options: TerminalRunOptions;
  readonly #pty: IPty;
  readonly #screen: EmulatedScreen;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #questions: QuestionWatcher;
  readonly #exited: Promise<{ exitCode: number; signal?: number }>;
  #emitted = '';
  #isPaused = false;
  /** Whether the program has written output since the previous check. */
  #hasOutput = false;
  readonly #signs = new ProgressDetector();

  constructor(options: TerminalRunOptions) {
    this.#options = options;
    const { file, args, cwd, env, size } = options;
    this.#screen = new EmulatedScreen(size, {
      onText: (text) => this.#emit(text),
      onReply: (data) => this.#pty.write(data),
    });
    this.#pty = spawn(file, [...args], { name: TERM, ...size, cwd, env: { ...env }, encoding: null });
    readToTheEnd(this.#pty);
    this.#questions = new QuestionWatcher(options.questions, {
      screen: this.#screen,
      ask: options.ask,
      type: (keys) => this.type(keys),
    });
    this.#exited = new Promise((resolve) => this.#pty.onExit(resolve));
    // With `encoding: null` node-pty passes bytes, although its types declare text.
    this.#pty.onData((data: string | Buffer) => this.#read(data as Buffer));
    this.result = this.#run();
  }

  async resize(size: Size): Promise<void> {
    this.#options.recording.resized(size);
    await this.#screen.resize(size);
    this.#pty.resize(size.cols, size.rows);
  }

  async #run(): Promise<TerminalRunEnd> {
    const { signal, recording } = this.#options;
    const leader = identify(this.#pty.pid);
    const family = leader && new DescendantTracker(leader);
    family?.follow(DESCENDANTS_CHECK_MS);
    const timer = setInterval(() => this.#look(), SETTLE_MS);
    const ending = onceAborted(signal, () => this.#end(leader, family));
    try {
      const { exitCode, signal: endedBy } = await this.#exited;
      this.#show(this.#decoder.decode());
      this.#questions.close();
      await ending.settled();
      await this.#screen.interpreted();
      const last = lastOutput((count) => this.#screen.lastLines(count));
      await this.#screen.finish();
      const said = tail(last.trim() || this.#emitted.trim(), LAST_CHARS);
      return { exitCode, signal: endedBy ?? 0, anyText: this.#screen.anyText, lastOutput: said };
    } finally {
      clearInterval(timer);
      family?.stop();
      ending.off();
      await recording.close();
    }
  }

  #look(): void {
    this.#screen.settleQuiet();
    if (this.#hasOutput && this.#signs.in(this.#screen.visibleLines())) this.#options.onProgress();
    this.#hasOutput = false;
  }

  #read(bytes: Buffer): void {
    this.#show(this.#decoder.decode(bytes, { stream: true }));
    this.#hasOutput = true;
    this.#questions.scheduleCheck();
    if (this.#screen.pending < PENDING_CHARS || this.#isPaused) return;
    void this.#pause();
  }

  async #pause(): Promise<void> {
    this.#isPaused = true;
    this.#pty.pause();
    await this.#screen.interpreted();
    this.#isPaused = false;
    this.#pty.resume();
  }

  #show(text: string): void {
    if (text === '') return;
    this.#options.recording.output(text);
    this.#screen.write(text);
  }

  #emit(text: string): void {
    this.#emitted = tail(this.#emitted + text, LAST_CHARS);
    this.#options.onText(text);
  }

  /** Types the keys into the terminal. */
  type(keys: string): void {
    this.#options.recording.typed(keys);
    this.#pty.write(keys);
  }

  /** Interrupts the program twice, and then ends it with all its descendants. */
  async #end(leader: ProcessIdentity | undefined, family: DescendantTracker | undefined): Promise<void> {
    family?.follow(DESCENDANTS_END_CHECK_MS);
    this.#questions.close();
    for (const graceMs of INTERRUPT_GRACES_MS) {
      this.type(this.#options.interrupt);
      if (await Promise.race([this.#exited, sleep(graceMs)])) break;
    }
    await sweep([], [...(leader ? [leader] : []), ...(family?.stop() ?? [])]);
  }
}

/** Calls the callback when the signal aborts. `settled` resolves when a callback that was called has ended. */
function onceAborted(signal: AbortSignal, callback: () => Promise<void>) {
  let called: Promise<void> = Promise.resolve();
  const listener = (): void => {
    called = callback();
  };
  if (signal.aborted) listener();
  else signal.addEventListener('abort', listener, { once: true });
  return { settled: () => called, off: () => signal.removeEventListener('abort', listener) };
}
