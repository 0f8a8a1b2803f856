/** Keeps the open tool calls of a timeline and finds what is new in each report of a call. */
import type { ToolCall } from '../contract/vocabulary.ts';
import { firstLine } from './task-text.ts';
import { outputLines } from './tool-output.ts';

export interface OpenTool {
  readonly title: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

type ToolNews =
  | { readonly kind: 'started'; readonly title: string }
  | {
      readonly kind: 'ended';
      readonly title: string;
      readonly isCompleted: boolean;
      /** The duration of the call. Undefined if the timeline did not get the start of the call. */
      readonly tookMs: number | undefined;
      readonly output: readonly string[];
    };

export class TimelineTools {
  readonly #open = new Map<string, OpenTool>();
  /** What was printed at the end of each call: whether it completed, its title and its output, as JSON. */
  readonly #ended = new Map<string, string>();
  readonly #verbose: boolean;

  /** `verbose`: the reported output is not shortened. */
  constructor(verbose: boolean) {
    this.#verbose = verbose;
  }

  get open(): readonly OpenTool[] {
    return [...this.#open.values()];
  }

  clear(): void {
    this.#open.clear();
  }

  /**
   * Records a report of a call and returns what is new in it, or undefined if nothing is new. `at` is the time of the
   * report, in milliseconds since the epoch.
   */
  see(call: ToolCall, at: number): ToolNews | undefined {
    const { tool_call_id: id, status } = call;
    const title = firstLine(call.title) || call.kind;
    const open = this.#open.get(id);
    if (status === 'pending' || status === 'in_progress') {
      this.#open.set(id, { title, startedAt: open?.startedAt ?? at });
      return open ? undefined : { kind: 'started', title };
    }
    this.#open.delete(id);
    const isCompleted = status === 'completed';
    const output = outputLines(call, this.#verbose);
    // Some agents report the end of a call several times.
    const end = JSON.stringify([isCompleted, title, output]);
    if (!open && this.#ended.get(id) === end) return undefined;
    this.#ended.set(id, end);
    return { kind: 'ended', title, isCompleted, tookMs: open && at - open.startedAt, output };
  }
}
