import { readableGrpcMessage } from '../../client/temporal.ts';
import { messageOf } from '../../contract/errors.ts';

/** The result of one check. */
export interface Check {
  readonly name: string;
  readonly level: 'ok' | 'warning' | 'problem';
  /** What was found. */
  readonly detail: string;
  /** What the user can do about it. */
  readonly advice?: string;
  /** Set if a service that should run does not respond. */
  readonly unreachable?: true;
}

export const ok = (name: string, detail: string): Check => ({ name, level: 'ok', detail });

export const warning = (name: string, detail: string, advice: string): Check => ({
  name,
  level: 'warning',
  detail,
  advice,
});

export const problem = (name: string, detail: string, advice: string): Check => ({
  name,
  level: 'problem',
  detail,
  advice,
});

export const unreachable = (name: string, detail: string, advice: string): Check => ({
  ...problem(name, detail, advice),
  unreachable: true,
});

export const textOf = (error: unknown): string => readableGrpcMessage(messageOf(error));
