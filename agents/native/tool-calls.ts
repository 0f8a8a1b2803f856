/**
 * Executes a tool call, from the model's step to its result in the journal.
 *
 * Must never happen: an edit is made twice, or a command is started again after a kill. Before a tool that changes
 * something starts, the journal gets a record, for an edit with the hash of the file before and after the edit. A call
 * with such a record but without a result was interrupted. The file's hash shows whether the edit was made; the outcome
 * of a command is unknown.
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  methods,
  type RequestPermissionRequest,
  type RequestPermissionResponse,
} from '@agentclientprotocol/sdk/unstable';
import { orAbort } from '../../contract/promises.ts';
import { type OpenCall, consecutiveEqualCalls } from './conversation.ts';
import type { Presenter } from './presenter.ts';
import type { BeginRecord, ToolCall } from './records.ts';
import { INTERRUPTED, parseObject } from './repair-history.ts';
import type { NativeSession } from './session.ts';
import { ToolRefusal } from './tools/confine.ts';
import { draftOf, fileHash } from './tools/text-files.ts';
import type { AnyTool, PlannedEdit, PreparedCall, ShownCall, ToolContext, ToolOutput } from './tools/tool.ts';
import { TOOLS, toolsOf } from './tools/tools.ts';

/** From this many equal consecutive calls on, the model gets a warning instead of a result. */
const REPEATED = 3;
/**
 * When the client stops a turn, it answers open requests with `cancelled`, and its `session/cancel` may arrive up to
 * this time later.
 */
const CANCEL_MS = 1_000;
/** This many equal consecutive calls end the turn. */
export const REPEATED_TOO_OFTEN = 6;

export interface CallContext {
  readonly session: NativeSession;
  readonly show: Presenter;
  readonly signal: AbortSignal;
}

/**
 * Executes the call. When it returns, the journal has the call's result. After a stop it fails with the signal's
 * reason, and the call stays open.
 */
export async function executeCall(context: CallContext, { call, begun }: OpenCall): Promise<void> {
  const { session, signal } = context;
  const finish = (output: ToolOutput, keepContent = false): Promise<void> =>
    finishCall(context, call, output, keepContent);
  const prepared = prepare(session, call);
  if (typeof prepared === 'string') {
    await context.show.begin(call, undefined, { title: call.name || 'a tool without a name', paths: [] });
    return finish({ ok: false, text: prepared });
  }
  const { tool, ready } = prepared;
  const output = context.show.outputOf(call.id);
  const at: ToolContext = {
    cwd: session.journal.cwd,
    draft: session.journal.draft,
    env: session.environment.env,
    signal,
    onOutput: (text) => output.show(text),
  };
  if (begun !== undefined) {
    const outcome = interruptedOutcome(tool, begun);
    if (outcome !== undefined) {
      await context.show.begin(call, tool, {
        title: `${tool.name} (interrupted)`,
        paths: begun.edit ? [begun.edit.path] : [],
      });
      return finish(outcome);
    }
  }
  try {
    const shown = ready.show(at);
    await context.show.begin(call, tool, shown);
    if (tool.changes && !(await isAllowed(context, { call, tool, shown }))) {
      return await finish({ ok: false, text: 'The user did not allow this. Do not try it in another way; say what you would have done.' }, true); // prettier-ignore
    }
    signal.throwIfAborted();
    // The plan is made after the permission was given, because the file may have changed meanwhile.
    const plan = ready.plan(at);
    if (tool.changes) session.journal.append(beginOf(call, plan));
    await context.show.status(call.id, 'in_progress');
    const result = await ready.run(at);
    await output.stop();
    signal.throwIfAborted();
    return await finish(result, result.ok && plan !== undefined);
  } catch (error) {
    await output.stop();
    signal.throwIfAborted();
    if (error instanceof ClientLost) throw error;
    return finish({ ok: false, text: sentenceOf(error) });
  }
}

const beginOf = (call: ToolCall, plan: PlannedEdit | undefined): BeginRecord => ({
  type: 'begin',
  call: call.id,
  ...(plan === undefined ? {} : { edit: plan }),
});

/**
 * Returns a sentence for the model: a refusal, or the error of the system (for example no space left, or not
 * permitted).
 */
const sentenceOf = (error: unknown): string =>
  error instanceof ToolRefusal
    ? error.message
    : `The tool failed: ${error instanceof Error ? error.message : String(error)}`;

/**
 * The client did not answer a permission request. The call was not executed and stays open, and the next client is
 * asked again.
 */
class ClientLost extends Error {}

/** Stores the result of a call in the journal and sends it to the client. */
async function finishCall(
  { session, show }: CallContext,
  call: ToolCall,
  { ok, text }: ToolOutput,
  keepContent = false,
): Promise<void> {
  session.journal.append({ type: 'result', call: call.id, ok, output: text });
  await show.end(call.id, { ok, output: text, keepContent });
}

function prepare(session: NativeSession, call: ToolCall): { tool: AnyTool; ready: PreparedCall } | string {
  const tools = session.environment.answersOnly ? [] : toolsOf(session.mode);
  const names = tools.map(({ name }) => name).join(', ') || 'none';
  const tool = TOOLS.find(({ name }) => name === call.name);
  if (tool === undefined) return `There is no tool ${JSON.stringify(call.name)}. The tools are: ${names}.`;
  if (!tools.includes(tool))
    return `The mode ${session.mode} does not allow the tool ${tool.name}. The tools are: ${names}.`;
  const times = consecutiveEqualCalls(session.journal.records, call);
  if (times >= REPEATED) {
    return `This same call was made ${times} times in a row. Its result does not change. Do something else, or end your turn.`;
  }
  const input = parseObject(call.input);
  if (input === undefined) {
    return `The arguments of ${tool.name} are no JSON object. Call it again with its arguments as one JSON object.`;
  }
  const ready = tool.prepare(input);
  return typeof ready === 'string' ? ready : { tool, ready };
}

/** Returns the outcome of an interrupted call, or `undefined` if the call had no effect and must be executed now. */
function interruptedOutcome(tool: AnyTool, { edit }: BeginRecord): ToolOutput | undefined {
  if (!tool.changes) return undefined;
  if (edit === undefined) return { ok: false, text: INTERRUPTED };
  rmSync(draftOf(edit.path), { force: true });
  const found = fileHash(edit.path);
  if (found === edit.after) return { ok: true, text: 'The file was written before the interruption.' };
  return found === edit.before ? undefined : { ok: false, text: INTERRUPTED };
}

interface Asked {
  readonly call: ToolCall;
  readonly tool: AnyTool;
  readonly shown: ShownCall;
}

/**
 * Asks the client for permission. An answer "always" applies until this process exits: to all edits, or to exactly this
 * command.
 */
async function isAllowed({ session, show, signal }: CallContext, { call, tool, shown }: Asked): Promise<boolean> {
  const reach = tool.kind === 'edit' ? 'edit' : `${tool.name} ${call.input}`;
  if (session.allowed.has(reach)) return true;
  const always = tool.kind === 'edit' ? 'Allow all edits in this session' : 'Always allow this command in this session';
  const request: RequestPermissionRequest = {
    sessionId: show.sessionId,
    toolCall: { ...show.describe(call, tool, shown), status: 'pending' },
    options: [
      { optionId: 'once', name: 'Allow', kind: 'allow_once' },
      { optionId: 'always', name: always, kind: 'allow_always' },
      { optionId: 'reject', name: 'Do not allow', kind: 'reject_once' },
    ],
  };
  const answer: Promise<RequestPermissionResponse> = show.client.request(
    methods.client.session.requestPermission,
    request,
  );
  const lost = (cause: unknown): never => {
    throw new ClientLost('the client did not answer a permission request', { cause });
  };
  const { outcome } = await orAbort(answer.catch(lost), signal);
  if (outcome.outcome !== 'selected') {
    await orAbort(sleep(CANCEL_MS), signal);
    return false;
  }
  if (outcome.optionId === 'always') session.allowed.add(reach);
  return outcome.optionId === 'once' || outcome.optionId === 'always';
}
