/** Converts the failed end of a program to the error answer of a prompt. */
import { RequestError } from '@agentclientprotocol/sdk/unstable';
import { constants } from 'node:os';
import type { TerminalRunEnd } from './terminal-run.ts';

/** Thrown if the agent no longer has the conversation that the turn was to continue. */
export class ConversationNotFoundError extends Error {}

/**
 * Returns the error answer for a program that failed. The driver reads `exit_code`, `signal` and `last_output` from the
 * error's data (agents/acp/program-end.ts).
 */
export function promptErrorOf({ exitCode, signal, lastOutput }: TerminalRunEnd, needsLogin: boolean): RequestError {
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  const data = { ...(name === undefined ? { exit_code: exitCode } : { signal: name }), last_output: lastOutput };
  if (needsLogin) return RequestError.authRequired({ ...data, details: lastOutput });
  return RequestError.internalError(data, name === undefined ? `exited with code ${exitCode}` : `was ended by ${name}`);
}
