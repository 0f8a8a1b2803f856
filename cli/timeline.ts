/** Shows a task's frames in order: streamed text, tool calls with their results, plan, warnings, the end. */
import type { FollowedFrame } from '../client/follow-task.ts';
import { shortId, type TaskId } from '../contract/ids.ts';
import { optionName } from '../contract/permission-answer.ts';
import type { Phase, ShownPhase } from '../contract/task.ts';
import type { PermissionOption, PlanEntry, ToolCall } from '../contract/vocabulary.ts';
import { reasonText } from './attempts.ts';
import { requestLines } from './request-lines.ts';
import { type LogFrame, replayed } from './snapshot-story.ts';
import type { LiveLine, Screen } from './screen.ts';
import { harmless, seconds, splitBegun, type Style } from './terminal.ts';
import { clockText, leftText, waitText } from './task-text.ts';
import { outputLines } from './tool-output.ts';

const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const SPIN_MS = 100;
const PLAN_LINES = 6;
const USER_LINES = 3;

const isPhase = (phase: ShownPhase): phase is Phase => Object.hasOwn(PHASES, phase);
const PHASES: Record<Phase, string> = {
  queued: 'queued',
  preparing: 'preparing the worktree',
  starting: 'starting the agent',
  working: 'working',
  waiting_permission: 'waiting for an answer',
  waiting_limit: "waiting for the provider's limit to be lifted",
  collecting: 'collecting the changes',
  cleaning: 'cleaning up',
};

type Asked = Pick<Extract<FollowedFrame, { type: 'permission_requested' }>, 'permission_id' | 'options' | 'tool_call'>;
type TaskStateFrame = Extract<FollowedFrame, { type: 'task_state' }>;

interface OpenTool {
  readonly title: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

export interface TimelineOptions {
  readonly taskId: TaskId;
  readonly screen: Screen;
  /** When the task was submitted, in milliseconds since the epoch. */
  readonly since: number;
  /** Show the first lines of the input. */
  readonly showsInput: boolean;
  /** Show the whole output of tools. */
  readonly verbose?: boolean;
}

export class Timeline {
  readonly #options: TimelineOptions;
  readonly #tools = new Map<string, OpenTool>();
  /** What was printed at the end of each call. */
  readonly #ended = new Map<string, string>();
  #phase: Phase = 'queued';
  #until: string | undefined;
  /** The incomplete end of the streamed text: see `splitBegun`. */
  #begun = '';
  /** The options of each request that waits. */
  readonly #asked = new Map<string, readonly PermissionOption[]>();
  #plan: readonly PlanEntry[] = [];
  #printedPlan: readonly string[] = [];
  #tokens: number | undefined;
  #attempt = 1;
  #hidesBottom = false;
  /** The number of the last frame that was shown; and how much of the message's text, in UTF-16 units. */
  #position = -1;
  #shown = { delta: 0, reasoning_delta: 0 };
  /** The kind of text that the last output was; undefined: new text begins below a line. */
  #open: 'delta' | 'reasoning_delta' | undefined;

  constructor(options: TimelineOptions) {
    this.#options = options;
    options.screen.live(() => this.#bottom());
  }

  show(frame: FollowedFrame): void {
    if (frame.type === 'snapshot') this.catchUp(frame, []);
    else this.#show(frame);
  }

  /** Frames that a follower got together: of an old task all of them. */
  showPage(page: readonly FollowedFrame[]): void {
    this.#withoutBottom(() => page.forEach((frame) => this.show(frame)));
    this.#options.screen.redraw?.();
  }

  #show(frame: LogFrame): void {
    this.#position = Math.max(this.#position, frame.seq);
    switch (frame.type) {
      case 'delta':
      case 'reasoning_delta':
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
        if (frame.role === 'user' && this.#options.showsInput) this.#input(frame.content);
        break;
      case 'message_reset':
        this.#tools.clear();
        this.#shown = { delta: 0, reasoning_delta: 0 };
        this.#line(`↺ starting over: ${oneLine(frame.reason)}`, 'yellow');
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

  /** A note beside the task, such as a service that is unavailable. */
  note(text: string): void {
    this.#line(`! ${oneLine(text)}`, 'yellow');
  }

  /** Open tool calls are shown as unfinished if the task has ended, as running if only the reader detaches. */
  end({ continues = false }: { continues?: boolean } = {}): void {
    const { screen } = this.#options;
    for (const { title } of this.#tools.values()) {
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

  /** The line stays on the screen when the time is over, so it has the clock's time beside the duration. */
  #waits(until: string, now: number): void {
    const left = leftText(until, now);
    this.#line(`⏸ waits ${clockText(until, now)}${left === undefined ? '' : ` (${left})`}`, 'yellow');
  }

  #tool(call: ToolCall, at: number): void {
    const { screen } = this.#options;
    const title = oneLine(call.title) || call.kind;
    const open = this.#tools.get(call.tool_call_id);
    if (call.status === 'pending' || call.status === 'in_progress') {
      this.#tools.set(call.tool_call_id, { title, startedAt: open?.startedAt ?? at });
      if (!open && screen.started) {
        this.#open = undefined;
        screen.started(`  ▸ ${title}`);
      }
      return;
    }
    this.#tools.delete(call.tool_call_id);
    const mark = call.status === 'completed' ? '✓' : '✗';
    const output = outputLines(call, this.#options.verbose === true);
    // Some agents report the end of a call several times.
    const end = [mark, title, ...output].join('\n');
    if (!open && this.#ended.get(call.tool_call_id) === end) return;
    this.#ended.set(call.tool_call_id, end);
    const took = open ? `  ${seconds(at - open.startedAt)}` : '';
    this.#line(`  ${mark} ${title}${took}`, mark === '✓' ? 'green' : 'red');
    for (const line of output) this.#line(`    │ ${line}`, 'dim');
  }

  #showPlan(entries: readonly PlanEntry[]): void {
    this.#plan = entries;
    // A started entry is not printed: its tool calls are.
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

  #ask({ permission_id: id, options, tool_call: call }: Asked): void {
    this.#asked.set(id, options);
    this.#line(`? ${inOneLine(call.title)}`, 'yellow');
    for (const line of requestLines(call)) this.#line(`    ${harmless(line)}`, 'dim');
    for (const [at, { name, option_id: optionId }] of options.entries()) {
      this.#line(`  ${at + 1}  ${oneLine(name || optionId)}`, 'yellow');
    }
    const how = this.#options.screen.onKey ? 'press a number, or' : 'to answer:';
    this.#line(`  ${how} longhaul answer ${shortId(id)} <number>`, 'dim');
  }

  #resolved({ permission_id: id, chosen }: Extract<FollowedFrame, { type: 'permission_resolved' }>): void {
    const options = this.#asked.get(id);
    if (!options) return;
    this.#asked.delete(id);
    this.#line(
      chosen === undefined ? '  no answer is needed any more' : `  → ${oneLine(optionName(options, chosen))}`,
      'yellow',
    );
  }

  #input(content: string): void {
    const lines = harmless(content).trim().split('\n');
    for (const line of lines.slice(0, USER_LINES)) this.#line(`> ${line}`, 'cyan');
    if (lines.length > USER_LINES) this.#line('> …', 'cyan');
  }

  #line(text: string, style: Style): void {
    this.#open = undefined;
    this.#options.screen.line(text, style);
  }

  /** Empty lines before a paragraph are not shown where it begins below a line of another kind. */
  #say(type: 'delta' | 'reasoning_delta', content: string): void {
    const [whole, begun] = splitBegun(this.#open === type ? this.#begun + content : content.replace(/^\s*\n/, ''));
    this.#begun = begun;
    const text = harmless(whole);
    if (text === '') return;
    this.#open = type;
    this.#options.screen.text(text, ...(type === 'delta' ? [] : (['dim'] as const)));
  }

  /** Shows what a snapshot has beyond the frames that were shown; `beside`: the task's frames that remain in the log. */
  catchUp(snapshot: Extract<FollowedFrame, { type: 'snapshot' }>, beside: readonly LogFrame[]): void {
    this.#withoutBottom(() => this.#catchUp(snapshot, beside));
  }

  /** While old frames are shown, the lines below would show how long ago they were written as durations. */
  #withoutBottom(show: () => void): void {
    const before = this.#hidesBottom;
    this.#hidesBottom = true;
    try {
      show();
    } finally {
      this.#hidesBottom = before;
    }
  }

  #catchUp(snapshot: Extract<FollowedFrame, { type: 'snapshot' }>, beside: readonly LogFrame[]): void {
    const { taskId } = this.#options;
    const begin = this.#position;
    let shown = this.#shown;
    const before = { delta: 0, reasoning_delta: 0 };
    for (const frame of replayed(snapshot, { taskId, beside })) {
      if (frame.type === 'delta' || frame.type === 'reasoning_delta') {
        const content = frame.content.slice(Math.max(0, shown[frame.type] - before[frame.type]));
        before[frame.type] += frame.content.length;
        if (content !== '') this.#show({ ...frame, content });
      } else if (frame.seq > begin) {
        this.#show(frame);
        if (frame.type === 'message_reset') shown = this.#shown;
      }
    }
    for (const { task_id: of, tool_call: call, ...asked } of snapshot.permissions) {
      if (of === taskId && call && !this.#asked.has(asked.permission_id)) this.#ask({ ...asked, tool_call: call });
    }
    const task = snapshot.tasks.find((candidate) => candidate.task_id === taskId);
    if (task && isPhase(task.phase)) this.#phase = task.phase;
    this.#until = task?.phase === 'waiting_limit' ? (task.waits_until ?? undefined) : undefined;
  }

  #bottom(): LiveLine[] {
    if (this.#hidesBottom) return [];
    const now = Date.now();
    const tools = [...this.#tools.values()].map(({ title, startedAt }): LiveLine => ({
      text: `  ◌ ${title}  ${seconds(now - startedAt)}`,
      style: 'cyan',
    }));
    const spin = SPINNER[Math.floor(now / SPIN_MS) % SPINNER.length] ?? '';
    const facts = [PHASES[this.#phase], seconds(now - this.#options.since)];
    if (this.#until !== undefined) facts.splice(1, 0, waitText(this.#until, now));
    if (this.#tokens !== undefined) facts.push(`${this.#tokens} tokens`);
    return [...tools, ...this.#planShown(), { text: `${spin} ${facts.join(' · ')}`, style: 'dim' }];
  }

  /** Of a long plan the entries around the current one. */
  #planShown(): LiveLine[] {
    const current = Math.max(
      0,
      this.#plan.findIndex((entry) => entry.status !== 'completed'),
    );
    const first = Math.max(0, Math.min(current - 2, this.#plan.length - PLAN_LINES));
    return this.#plan
      .slice(first, first + PLAN_LINES)
      .map((entry) => ({ text: `  ${planLine(entry)}`, style: planStyle(entry) }));
  }
}

function planLine({ status, content }: PlanEntry): string {
  const mark = status === 'completed' ? '☑' : status === 'in_progress' ? '◐' : '☐';
  return `${mark} ${oneLine(content)}`;
}

const planStyle = ({ status }: PlanEntry): Style => (status === 'in_progress' ? 'bold' : 'dim');

/** Not cut: the end of a warning says what to do. */
const inOneLine = (text: string): string =>
  harmless(text)
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ');

function oneLine(text: string): string {
  return harmless(text).trim().split('\n')[0] ?? '';
}
