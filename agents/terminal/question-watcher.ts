/**
 * Watches the screen for questions. If a question stands at the cursor and the program is silent for a short time, the
 * adapter sends the question as a permission request and types the answer. Each question is sent once: the same text in
 * the same row is a question that was answered already.
 */
import type { AnswerOption, Question } from './profiles/profile.ts';
import type { EmulatedScreen } from './screen.ts';

/**
 * A program that asks waits for the answer, and a program that prints such a text as output continues to write. A
 * silence of this length distinguishes a question from output.
 */
const SILENCE_MS = 200;
const CONTEXT_LINES = 20;
const PATTERN_LINES = 12;

export interface AskedQuestion {
  /** The line that contains the question. */
  readonly title: string;
  /** The lines above the question on the screen, and the question. */
  readonly context: string;
  readonly options: readonly AnswerOption[];
}

/** Sends a question to the client. Returns `undefined` if the request was cancelled. */
export type AskPermission = (question: AskedQuestion) => Promise<AnswerOption | undefined>;

export interface QuestionWatcherOptions {
  readonly screen: EmulatedScreen;
  readonly ask: AskPermission;
  readonly type: (keys: string) => void;
}

export class QuestionWatcher {
  readonly #questions: readonly Question[];
  readonly #parts: QuestionWatcherOptions;
  #timer: NodeJS.Timeout | undefined;
  #isAsking = false;
  #isClosed = false;
  #answered: { readonly row: number; readonly text: string } | undefined;

  constructor(questions: readonly Question[], parts: QuestionWatcherOptions) {
    this.#questions = questions;
    this.#parts = parts;
  }

  /** Schedules a check of the screen after `SILENCE_MS` without output. Call it after each output. */
  scheduleCheck(): void {
    if (this.#isClosed || this.#questions.length === 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), SILENCE_MS);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isAsking || this.#isClosed) return;
    const { screen, ask, type } = this.#parts;
    await screen.interpreted();
    const text = withoutEnd(screen.lastLines(PATTERN_LINES));
    const question = this.#questions.find(({ pattern }) => pattern.test(text));
    const row = screen.cursorRow;
    if (!question || (this.#answered?.row === row && this.#answered.text === text)) return;
    this.#isAsking = true;
    screen.settleAboveCursor();
    this.#answered = { row, text };
    const title = text.split('\n').at(-1)?.trim() ?? '';
    const context = withoutEnd(screen.lastLines(CONTEXT_LINES));
    const answer = await ask({ title, context, options: question.options }).catch(() => undefined);
    this.#isAsking = false;
    if (this.#isClosed) return;
    // Without an answer the program would wait for ever, so the refusal is typed.
    const chosen = answer ?? question.options.find(({ kind }) => kind === 'reject_once');
    if (chosen) type(chosen.keys);
    // The program may have written more output while the permission request was open.
    this.scheduleCheck();
  }
}

const withoutEnd = (lines: readonly string[]): string => lines.join('\n').trimEnd();
