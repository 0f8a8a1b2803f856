/**
 * Runs a turn of the demo agent: executes the instructions one after another, and stores after each instruction that it
 * is done.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentContext, PromptResponse, StopReason } from '@agentclientprotocol/sdk/unstable';
import { head } from '../../contract/cut-text.ts';
import { requestEdit, changeFile, flood, run, type InstructionContext } from './actions.ts';
import { describe, parseInstructions, type Instruction } from './instructions.ts';
import { DemoOutput } from './demo-output.ts';
import { saveSession, type StoredSession, type StoredTurn } from './session-store.ts';

const HONEST = 'I am the demo agent of Longhaul: there is no model behind me, I only follow plain instructions.\n';

const countWords = (text: string): number => text.split(/\s+/).filter(Boolean).length;

/**
 * Returns the turn for a prompt. A turn that a kill interrupted continues if the prompt repeats the turn's text or asks
 * to continue; otherwise a new turn begins. A turn that ended without the client receiving its end does not begin again
 * if the prompt says that the turn was interrupted.
 */
function turnFor({ session, text, interrupted }: PromptTurn): { turn: StoredTurn; resumed: boolean } {
  const last = session.turn;
  const same =
    last !== undefined && (text.includes(last.text) || /^\s*(please )?(continue|go on|carry on)\b/i.test(text));
  const unreported = interrupted && last?.text === text;
  if (last !== undefined && same && (!last.ended || unreported)) return { turn: last, resumed: true };
  return { turn: { text, number: (last?.number ?? 0) + 1, done: 0, ended: false, denied: [] }, resumed: false };
}

async function answer(context: InstructionContext, text: string): Promise<void> {
  await context.show.say(
    `You wrote: "${head(text, 500)}". I have no model to think about it, so I keep it in NOTES.md.\n`,
  );
  await changeFile(context, 'Write NOTES.md', { kind: 'append', file: 'NOTES.md', text: `- ${text}\n` });
}

function crash(context: InstructionContext, once: boolean): never {
  if (once) {
    context.turn.done += 1;
    saveSession(context.session);
  }
  writeSync(2, 'demo agent: crashing, as instructed\n');
  process.exit(70);
}

/** Executes one instruction. The result `refusal` ends the turn. */
async function perform(
  context: InstructionContext,
  instruction: Instruction,
  rest: readonly Instruction[],
): Promise<'refusal' | void> {
  const { show, turn, signal } = context;
  switch (instruction.kind) {
    case 'write':
    case 'append':
    case 'delete':
    case 'rename':
      return changeFile(context, describe(instruction), instruction);
    case 'say':
      return show.say(`${instruction.text}\n`);
    case 'think':
      return show.think(`I think about ${instruction.text}.\n`);
    case 'plan':
      return show.showPlan(rest, turn.done + 1);
    case 'ask':
      return requestEdit(context, instruction.file);
    case 'run':
      return run(context, instruction.command, instruction.words);
    case 'slowly':
      return show.slowDown(instruction.seconds, rest);
    case 'flood':
      return flood(context, instruction.megabytes);
    case 'crash':
      return crash(context, instruction.once);
    case 'hang':
      // Waits until the turn is cancelled. The timer keeps the process alive.
      await sleep(2 ** 31 - 1, undefined, { signal });
      return;
    case 'refuse':
      return 'refusal';
    case 'answer':
      return answer(context, instruction.text);
  }
}

async function performAll(
  context: Omit<InstructionContext, 'callId'>,
  instructions: readonly Instruction[],
): Promise<StopReason> {
  const { session, turn, show } = context;
  // Instructions that only change how later instructions are shown (`slowly`, `plan`) apply again after a kill.
  for (const [index, instruction] of instructions.slice(0, turn.done).entries()) {
    const rest = instructions.slice(turn.done);
    if (instruction.kind === 'slowly') show.slowDown(instruction.seconds, rest);
    if (instruction.kind === 'plan') {
      await show.showPlan(instructions.slice(index + 1), index + 1);
      for (let past = index + 1; past < turn.done; past += 1) await show.mark(past, 'completed');
    }
  }
  for (const [index, instruction] of [...instructions.entries()].slice(turn.done)) {
    await show.mark(index, 'in_progress');
    if (session.thinking === 'on') await show.think(`Next: ${describe(instruction)}.\n`);
    const callId = `${session.id.slice(0, 8)}-${turn.number}-${index + 1}`;
    if ((await perform({ ...context, callId }, instruction, instructions.slice(index + 1))) === 'refusal')
      return 'refusal';
    turn.done = index + 1;
    delete turn.lengthBefore;
    saveSession(session);
    await show.mark(index, 'completed');
  }
  return 'end_turn';
}

function finish(session: StoredSession, turn: StoredTurn, spoken: string): void {
  turn.ended = true;
  session.history.push({ role: 'agent', text: spoken });
  saveSession(session);
}

export interface PromptTurn {
  readonly client: AgentContext;
  readonly session: StoredSession;
  readonly text: string;
  /** True if the client says that this turn was begun before and was interrupted. */
  readonly interrupted: boolean;
  readonly signal: AbortSignal;
}

export async function promptTurn(prompt: PromptTurn): Promise<PromptResponse> {
  const { client, session, text, signal } = prompt;
  const { turn, resumed } = turnFor(prompt);
  session.turn = turn;
  if (!resumed) session.history.push({ role: 'user', text });
  saveSession(session);
  const instructions = parseInstructions(turn.text);
  const loud = session.model === 'loud';
  const show = new DemoOutput({ client, sessionId: session.id, signal, loud });
  try {
    const where = `I continue where I stopped: ${turn.done} of ${instructions.length} instructions were done.\n`;
    await show.say(resumed ? where : HONEST);
    const stopReason = await performAll({ client, session, turn, show, signal }, instructions);
    finish(session, turn, show.spoken);
    // The usage reports words as tokens, because the demo agent has no tokens.
    const [inputTokens, outputTokens] = [countWords(text), countWords(show.spoken)];
    const used = session.history.reduce((sum, message) => sum + countWords(message.text), 0);
    await show.update({ sessionUpdate: 'usage_update', used, size: 100_000 });
    return { stopReason, usage: { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens } };
  } catch (error) {
    if (!signal.aborted) throw error;
    finish(session, turn, show.spoken);
    return { stopReason: 'cancelled' };
  }
}
