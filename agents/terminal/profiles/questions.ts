/** Defines questions that many programs ask in the same words, and their answers. */
import type { AnswerOption, Question } from './profile.ts';

const ENTER = '\r';
const yes = (keys: string, name = 'Yes'): AnswerOption => ({ id: 'yes', name, kind: 'allow_once', keys });
const no = (keys: string, name = 'No'): AnswerOption => ({ id: 'no', name, kind: 'reject_once', keys });

/** Matches, at the cursor, `Continue? [y/N]`, `Overwrite (yes/no)?` and `Proceed? (Y/n):`. */
export const YES_NO: readonly Question[] = [
  { pattern: /[[(]\s*yes\s*\/\s*no\s*[\])]\s*[?:]?$/i, options: [yes(`yes${ENTER}`), no(`no${ENTER}`)] },
  { pattern: /[[(]\s*y\s*\/\s*n\s*[\])]\s*[?:>]?$/i, options: [yes(`y${ENTER}`), no(`n${ENTER}`)] },
];

/** Matches aider's `(Y)es/(N)o/(A)ll/(S)kip all/(D)on't ask again [Yes]:`. */
export const AIDER: readonly Question[] = [
  {
    pattern: /\(Y\)es\/\(N\)o\/\(A\)ll.*:$/i,
    options: [
      yes(`y${ENTER}`),
      { id: 'all', name: 'Yes, and all that follow', kind: 'allow_always', keys: `a${ENTER}` },
      no(`n${ENTER}`),
    ],
  },
  { pattern: /\(Y\)es\/\(N\)o.*:$/i, options: [yes(`y${ENTER}`), no(`n${ENTER}`)] },
];

/** The key that moves down in goose's menu (cliclack), in which the first entry is selected at the start. */
const DOWN = '\u001b[B';
export const GOOSE: readonly Question[] = [
  {
    pattern: /Goose would like to call the (?:above|following) tool[^]*Allow[^]*(?:Deny|Cancel)/i,
    options: [
      { id: 'allow', name: 'Allow', kind: 'allow_once', keys: ENTER },
      { id: 'always', name: 'Always allow', kind: 'allow_always', keys: DOWN + ENTER },
      { id: 'deny', name: 'Deny', kind: 'reject_once', keys: DOWN + DOWN + ENTER },
    ],
  },
];
