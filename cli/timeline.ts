/** Shows a task's frames in order: streamed text, tool calls with their results, plan, warnings, the end. */
import type { FollowedFrame } from '../client/follow-task.ts';
import type { Elicitation } from '../contract/elicitation.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { optionName } from '../contract/permission-answer.ts';
import type { Phase } from '../contract/task.ts';
import type { PermissionOption, PlanEntry, ToolCall } from '../contract/vocabulary.ts';
import { elicitationLines } from './form-values.ts';
import { optionLines } from './option-lines.ts';
import { reasonText } from './attempts.ts';
import { planLine } from './plan-text.ts';
import { requestLines } from './request-lines.ts';
import { type LogFrame, framesOfSnapshot } from './snapshot-frames.ts';
import type { LiveLine, Screen } from './screen.ts';
import { harmless, seconds, splitBegun, type Style } from './terminal.ts';
import { clockText, firstLine, leftText } from './task-text.ts';
import { bottomLines, isPhase } from './timeline-bottom.ts';
import { TimelineTools } from './timeline-tools.ts';

const USER_LINES = 3;

type Asked = Pick<
  Extract<FollowedFrame, { type: 'permission_requested' }>,
  'permission_id' | 'session_id' | 'options' | 'tool_call'
> & { readonly elicitation?: Elicitation | null | undefined };
type TaskStateFrame = Extract<FollowedFrame, { type: 'task_state' }>;

export interface TimelineOptions {
  readonly taskId: TaskId;
  readonly screen: Screen;
  /** The time at which the task was submitted, in milliseconds since the epoch. */
  readonly since: number;
  /** Whether the first lines of the input are shown. */
  readonly showsInput: boolean;
  /** Whether the whole output of tools is shown. */
  readonly verbose?: boolean;
  /** Returns the text that the user has typed into a form. Returns undefined if no form is open. */
  readonly typing?: () => string | undefined;
}

export class Timeline {
  readonly #options: TimelineOptions;
  readonly #tools: TimelineTools;
  #phase: Phase = 'queued';
  #until: string | undefined;
  /** The end of the streamed text that may be incomplete: see `splitBegun`. */
  #begun = '';
  /** The options of each open permission request. */
  readonly #asked = new Map<string, readonly PermissionOption[]>();
  #plan: readonly PlanEntry[] = [];
  /** The text of each user's message that was shown last. */
  readonly #inputs = new Map<string, string>();
  #printedPlan: readonly string[] = [];
  #tokens: number | undefined;
  #attempt = 1;
  #hidesBottom = false;
  /** The `seq` of the last frame that was shown. `#shown` counts the UTF-16 units of the message that were shown. */
  #position = -1;
  #shown = { delta: 0, reasoning_delta: 0 };
  /**
   * The kind of the streamed text that was written last. Undefined after a whole line, because the next text then
   * begins on a new line.
   */
  #open: 'delta' | 'reasoning_delta' | undefined;

  constructor(options: TimelineOptions) {
    this.#options = options;
    this.#tools = new TimelineTools(options.verbose === true);
    options.screen.live(() => this.#bottom());
  }

  show(frame: FollowedFrame): void {
    if (frame.type === 'snapshot') this.catchUp(frame, []);
    else this.#show(frame);
  }

  /**
   * Shows a page: the frames that a follower got together. A page of a task that has ended may contain all its frames.
   */
  showPage(page: readonly FollowedFrame[]): void {
    // If a user's message was edited, only its last text is shown.
    const last = new Map(page.flatMap((frame) => (isInput(frame) ? [[frame.message_id, frame.seq]] : [])));
    const shown = page.filter((frame) => !isInput(frame) || last.get(frame.message_id) === frame.seq);
    this.#withoutBottom(() => shown.forEach((frame) => this.show(frame)));
    this.#options.screen.redraw?.();
  }

  #show(frame: LogFrame): void {
    this.#position = Math.max(this.#position, frame.seq);
    switch (frame.type) {
      case 'delta':
      case 'reasoning_delta':
        if (frame.type === 'delta' && frame.role === 'user') {
          this.#input(frame);
          break;
        }
        this.#shown[frame.type] += frame.content.length;
        this.#say(frame.type, frame.content);
        break;
      case 'tool_call':
        this.#tool(frame.call, Date.parse(frame.at));
        break;
      case 'plan':
        this.#showPlan(frame.entries);
        break;
      case 'message':
        // When a task was removed from its queue, its user message arrives again with the status `cancelled`. It is not
        // shown again.
        if (frame.role === 'user' && frame.status !== 'cancelled') this.#input(frame);
        break;
      case 'message_reset':
        this.#tools.clear();
        this.#shown = { delta: 0, reasoning_delta: 0 };
        this.#line(`↺ starting over: ${firstLine(frame.reason)}`, 'yellow');
        break;
      case 'warning':
        this.#line(`! ${inOneLine(frame.message)}`, 'yellow');
        break;
      case 'usage':
        this.#tokens = frame.usage.total_tokens ?? this.#tokens;
        break;
      case 'task_state':
        this.#enter(frame);
        break;
      case 'permission_requested':
        this.#ask(frame);
        break;
      case 'permission_resolved':
        this.#resolved(frame);
        break;
      default:
    }
  }

  /** Shows a note that is not from the task, for instance that a service is unavailable. */
  note(text: string): void {
    this.#line(`! ${firstLine(text)}`, 'yellow');
  }

  /** Shows open tool calls as not finished if the task has ended, or as still running if only the reader detaches. */
  end({ continues = false }: { continues?: boolean } = {}): void {
    const { screen } = this.#options;
    for (const { title } of this.#tools.open) {
      if (continues) screen.line(`  ▸ ${title} (still running)`, 'dim');
      else screen.line(`  ✗ ${title} (not finished)`, 'red');
    }
    this.#tools.clear();
    screen.end();
  }

  #enter({ phase, attempt, waits_until: until, error_code: code }: TaskStateFrame): void {
    if (isPhase(phase)) this.#phase = phase;
    this.#until = until ?? undefined;
    if (until !== undefined) this.#waits(until, Date.now());
    if (attempt === undefined || attempt <= this.#attempt) return;
    this.#attempt = attempt;
    this.#line(`↺ attempt ${attempt}: ${reasonText(code ?? null)}`, 'yellow');
  }

  /**
   * Prints until when the task waits. The line has the clock time beside the duration, because the line stays on the
   * screen after the wait.
   */
  #waits(until: string, now: number): void {
    const left = leftText(until, now);
    this.#line(`⏸ waits ${clockText(until, now)}${left === undefined ? '' : ` (${left})`}`, 'yellow');
  }

  #tool(call: ToolCall, at: number): void {
    const { screen } = this.#options;
    const news = this.#tools.see(call, at);
    if (news?.kind === 'started' && screen.started) {
      this.#open = undefined;
      screen.started(`  ▸ ${news.title}`);
    }
    if (news?.kind !== 'ended') return;
    const { title, isCompleted, tookMs, output } = news;
    const took = tookMs === undefined ? '' : `  ${seconds(tookMs)}`;
    this.#line(`  ${isCompleted ? '✓' : '✗'} ${title}${took}`, isCompleted ? 'green' : 'red');
    for (const line of output) this.#line(`    │ ${line}`, 'dim');
  }

  #showPlan(entries: readonly PlanEntry[]): void {
    this.#plan = entries;
    // The start of an entry is not printed, because the tool calls of the entry are printed.
    const lines = entries.map((entry) =>
      planLine(entry.status === 'in_progress' ? { ...entry, status: 'pending' } : entry),
    );
    const news = lines.filter((line) => !this.#printedPlan.includes(line));
    this.#printedPlan = lines;
    const { screen } = this.#options;
    if (news.length === 0 || !screen.planned) return;
    this.#open = undefined;
    screen.planned(news);
  }

  #ask({ permission_id: id, session_id: sessionId, options, tool_call: call, elicitation }: Asked): void {
    this.#asked.set(id, options);
    const title = inOneLine(elicitation?.message ?? call.title);
    this.#line(`? ${title}`, 'yellow');
    const details = elicitation ? elicitationLines(elicitation) : requestLines({ call, title, sessionId });
    for (const line of details) this.#line(`    ${harmless(line)}`, 'dim');
    for (const line of optionLines(options)) this.#line(line, 'yellow');
    const how = this.#options.screen.onKey ? 'press a number, or' : 'to answer:';
    const values = elicitation?.mode === 'form' ? ' --set <field>=<value>…' : '';
    this.#line(`  ${how} longhaul answer ${shortId(id)} <number>${values}`, 'dim');
  }

  #resolved({ permission_id: id, chosen }: Extract<FollowedFrame, { type: 'permission_resolved' }>): void {
    const options = this.#asked.get(id);
    if (!options) return;
    this.#asked.delete(id);
    this.#line(
      chosen === undefined ? '  no answer is needed any more' : `  → ${firstLine(optionName(options, chosen))}`,
      'yellow',
    );
  }

  /** Shows a user's message, unless the same text of it was shown already. */
  #input({ message_id: id, content }: { readonly message_id: string; readonly content: string }): void {
    if (!this.#options.showsInput || this.#inputs.get(id) === content) return;
    this.#inputs.set(id, content);
    const lines = harmless(content).trim().split('\n');
    for (const line of lines.slice(0, USER_LINES)) this.#line(`> ${line}`, 'cyan');
    if (lines.length > USER_LINES) this.#line('> …', 'cyan');
  }

  #line(text: string, style: Style): void {
    this.#open = undefined;
    this.#options.screen.line(text, style);
  }

  /** Shows streamed text. Empty lines before its first paragraph are omitted if the output above is of another kind. */
  #say(type: 'delta' | 'reasoning_delta', content: string): void {
    const [whole, begun] = splitBegun(this.#open === type ? this.#begun + content : content.replace(/^\s*\n/, ''));
    this.#begun = begun;
    const text = harmless(whole);
    if (text === '') return;
    this.#open = type;
    this.#options.screen.text(text, ...(type === 'delta' ? [] : (['dim'] as const)));
  }

  /**
   * Shows the part of a snapshot's content that was not shown yet. `remainingFrames` has the task's frames that remain
   * in the log.
   */
  catchUp(snapshot: Extract<FollowedFrame, { type: 'snapshot' }>, remainingFrames: readonly LogFrame[]): void {
    this.#withoutBottom(() => this.#catchUp(snapshot, remainingFrames));
  }

  /**
   * Hides the live lines while old frames are shown, because the durations in these lines would be the age of the
   * frames.
   */
  #withoutBottom(show: () => void): void {
    const before = this.#hidesBottom;
    this.#hidesBottom = true;
    try {
      show();
    } finally {
      this.#hidesBottom = before;
    }
  }

  #catchUp(snapshot: Extract<FollowedFrame, { type: 'snapshot' }>, remainingFrames: readonly LogFrame[]): void {
    const { taskId } = this.#options;
    const begin = this.#position;
    let shown = this.#shown;
    const before = { delta: 0, reasoning_delta: 0 };
    for (const frame of framesOfSnapshot(snapshot, { taskId, remainingFrames })) {
      if ((frame.type === 'delta' && !isInput(frame)) || frame.type === 'reasoning_delta') {
        const content = frame.content.slice(Math.max(0, shown[frame.type] - before[frame.type]));
        before[frame.type] += frame.content.length;
        if (content !== '') this.#show({ ...frame, content });
      } else if (frame.seq > begin) {
        this.#show(frame);
        if (frame.type === 'message_reset') shown = this.#shown;
      }
    }
    for (const { task_id: of, tool_call: call, ...asked } of snapshot.permissions) {
      if (of === taskId && call && !this.#asked.has(asked.permission_id))
        this.#ask({ ...asked, session_id: snapshot.session_id, tool_call: call });
    }
    const task = snapshot.tasks.find((candidate) => candidate.task_id === taskId);
    if (task && isPhase(task.phase)) this.#phase = task.phase;
    this.#until = task?.phase === 'waiting_limit' ? (task.waits_until ?? undefined) : undefined;
  }

  #bottom(): readonly LiveLine[] {
    if (this.#hidesBottom) return [];
    const typing = this.#options.typing?.();
    const lines = bottomLines({
      phase: this.#phase,
      waitsUntil: this.#until,
      since: this.#options.since,
      tokens: this.#tokens,
      tools: this.#tools.open,
      plan: this.#plan,
    });
    return typing === undefined ? lines : [...lines, { text: `> ${typing}`, style: 'cyan' }];
  }
}

const isInput = (frame: FollowedFrame): frame is Extract<FollowedFrame, { type: 'message' | 'delta' }> =>
  (frame.type === 'message' || frame.type === 'delta') && frame.role === 'user';

/** Returns the text in one line. The line is not cut, because the end of a warning says what to do. */
const inOneLine = (text: string): string =>
  harmless(text)
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ');
