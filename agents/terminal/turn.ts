/** Runs one turn of the terminal adapter: it runs the profile's program once and interprets its end. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RequestError, type AgentContext, type PromptResponse } from '@agentclientprotocol/sdk/unstable';
import { tail } from '../../contract/cut-text.ts';
import { TASK_MARKER } from '../process/environment.ts';
import type { AskedQuestion } from './question-watcher.ts';
import { programValue } from './choices.ts';
import { promptErrorOf, ConversationNotFoundError } from './ends.ts';
import type { TerminalLaunch } from './launch.ts';
import { questionsOf } from './profiles/known.ts';
import type { AnswerOption, TerminalProfile, TurnArguments } from './profiles/profile.ts';
import { Recording } from './recording.ts';
import type { Size } from './screen.ts';
import type { SessionStore, StoredSession } from './session-store.ts';
import { TerminalRun, type TerminalRunEnd } from './terminal-run.ts';
import { UpdateSender } from './update-sender.ts';

/**
 * The size of the terminal, wide enough for tables and diffs. The terminal wraps wider lines, and the screen joins them
 * again.
 */
const SIZE: Size = { cols: 120, rows: 30 };
/** The limit of a prompt that is an argument. Linux limits one argument to 128 KiB. */
const ARGUMENT_BYTES = 120_000;
/** How much output is searched for the conversation's id. Programs print the id at their start. */
const SAID_CHARS = 20_000;
const CTRL_C = '\u0003';
const NO_OUTPUT = '(no output)';

export interface TerminalTurnStart {
  readonly client: AgentContext;
  readonly session: StoredSession;
  readonly profile: TerminalProfile;
  readonly launch: TerminalLaunch;
  readonly store: SessionStore;
  /** The adapter's own environment, which the program gets, too. */
  readonly env: NodeJS.ProcessEnv;
  readonly text: string;
}

export interface TerminalTurn {
  readonly result: Promise<PromptResponse>;
  /** Cancels the turn. Resolves when the turn has ended. */
  cancel(): Promise<void>;
  resize(size: Size): Promise<void>;
}

export const startTerminalTurn = (start: TerminalTurnStart): TerminalTurn => new ProgramTurn(start);

class ProgramTurn implements TerminalTurn {
  readonly result: Promise<PromptResponse>;
  readonly #start: TerminalTurnStart;
  readonly #abort = new AbortController();
  readonly #updates: UpdateSender;
  #run: TerminalRun | undefined;
  #folder: string | undefined;
  /** The output so far, until the id of the agent's conversation is found in it. */
  #said = '';

  constructor(start: TerminalTurnStart) {
    this.#start = start;
    this.#updates = new UpdateSender(start.client, start.session.id);
    this.result = this.#take().finally(() => this.#removeFolder());
  }

  async cancel(): Promise<void> {
    this.#abort.abort();
    await this.result.catch(() => {});
  }

  async resize(size: Size): Promise<void> {
    await this.#run?.resize(size);
  }

  async #take(): Promise<PromptResponse> {
    const end = await this.#runOnce().catch((error: unknown) => {
      if (!(error instanceof ConversationNotFoundError)) throw error;
      // The agent no longer has its conversation, so the turn begins a new conversation. The prompt contains what the
      // agent must know.
      delete this.#start.session.conversation;
      // Separates the text of the second program from the text of the first.
      this.#updates.text('\n');
      return this.#runOnce();
    });
    const isCancelled = this.#abort.signal.aborted;
    if (!end.anyText && !isCancelled) this.#updates.text(NO_OUTPUT);
    await this.#updates.sent();
    return { stopReason: isCancelled ? 'cancelled' : this.#meaning(end) };
  }

  /** Returns the stop reason for the program's end. Throws if the program failed. */
  #meaning(end: TerminalRunEnd): PromptResponse['stopReason'] {
    const { profile } = this.#start;
    if (end.signal === 0 && end.exitCode === 0 && profile.fails?.test(end.lastOutput)) throw promptErrorOf(end, false);
    const meaning = end.exitCode === 0 && end.signal === 0 ? 'completed' : profile.exits?.[end.exitCode];
    if (end.signal === 0 && meaning === 'completed') return 'end_turn';
    if (end.signal === 0 && meaning === 'turn_limit') return 'max_turn_requests';
    if (end.signal === 0 && meaning === 'cancelled') return 'cancelled';
    throw promptErrorOf(end, meaning === 'needs_login');
  }

  async #runOnce(): Promise<TerminalRunEnd> {
    const { profile, launch, session, env } = this.#start;
    const args = this.#arguments();
    const list = profile.arguments(args);
    refuseLongArguments(list);
    this.#begin(args);
    const made = madeNow(session.cwd, profile.leaves);
    const recording = new Recording(recordingsOf(launch, env), SIZE, launch.agent);
    this.#run = new TerminalRun({
      file: launch.file,
      args: list,
      cwd: session.cwd,
      env: { ...environment(env), ...profile.environment?.(args) },
      size: SIZE,
      questions: questionsOf(profile),
      interrupt: profile.interrupt ?? CTRL_C,
      recording,
      signal: this.#abort.signal,
      onText: (text) => this.#say(text),
      onProgress: () => this.#updates.alive(),
      ask: (question) => this.#ask(question),
    });
    const end = await this.#run.result.finally(() => made.remove());
    const isLost = args.conversation?.begun === true && end.exitCode !== 0 && profile.resume?.lost.test(end.lastOutput);
    if (isLost && !this.#abort.signal.aborted) throw new ConversationNotFoundError();
    return end;
  }

  #arguments(): TurnArguments {
    const { profile, session, text } = this.#start;
    const { resume } = profile;
    const conversation =
      resume && (session.conversation ?? (resume.id === 'ours' ? { id: randomUUID(), begun: false } : undefined));
    return {
      prompt: text,
      promptFile: () => this.#promptFile(text),
      model: programValue(profile.models, session.model),
      mode: programValue(profile.modes, session.mode),
      thinking: programValue(profile.thinking, session.thinking),
      conversation,
    };
  }

  /** Stores that the conversation was begun before the program starts, because a crash may follow at any time. */
  #begin({ conversation }: TurnArguments): void {
    if (!conversation) return;
    this.#start.session.conversation = { ...conversation, begun: true };
    this.#start.store.save(this.#start.session);
  }

  #say(text: string): void {
    this.#updates.text(text);
    const { profile, session, store } = this.#start;
    const pattern = profile.resume?.id;
    if (!(pattern instanceof RegExp) || session.conversation) return;
    this.#said = tail(this.#said + text, SAID_CHARS);
    const id = pattern.exec(this.#said)?.[1];
    if (id === undefined) return;
    session.conversation = { id, begun: true };
    store.save(session);
  }

  async #ask({ title, context, options }: AskedQuestion): Promise<AnswerOption | undefined> {
    return this.#updates.ask({ title, context, options }, this.#abort.signal);
  }

  #promptFile(text: string): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'longhaul-prompt-'));
    const path = join(this.#folder, 'prompt.txt');
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  #removeFolder(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Returns the task's folder for recordings. An adapter that runs without a task makes no recording. */
function recordingsOf({ recordings }: TerminalLaunch, env: NodeJS.ProcessEnv): string | undefined {
  const task = env[TASK_MARKER];
  return recordings !== undefined && task ? join(recordings, task) : undefined;
}

/**
 * Returns the program's environment. PAGER is `cat`, because a pager would wait for a key for ever. COLORTERM is set
 * because gemini warns without it; the screen interprets 24-bit colours.
 */
function environment(env: NodeJS.ProcessEnv): Record<string, string> {
  const own = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { ...Object.fromEntries(own), COLORTERM: 'truecolor', PAGER: 'cat', GIT_PAGER: 'cat' };
}

/**
 * Finds which of the names do not exist now, because the program may create them. `remove` removes the files that the
 * program has created under these names.
 */
function madeNow(cwd: string, names: readonly string[] = []): { remove(): void } {
  const made = names.map((name) => join(cwd, name)).filter((path) => !existsSync(path));
  return {
    remove() {
      for (const path of made) rmSync(path, { recursive: true, force: true });
    },
  };
}

function refuseLongArguments(list: readonly string[]): void {
  const bytes = Math.max(...list.map((one) => Buffer.byteLength(one)));
  if (bytes <= ARGUMENT_BYTES) return;
  throw RequestError.invalidParams(
    { bytes },
    `expected a prompt of at most ${ARGUMENT_BYTES} bytes, because this agent gets it as an argument of its program, found ${bytes}`,
  );
}
