/** Shows the options of a request with the digits that choose them. */
import type { PermissionOption } from '../contract/vocabulary.ts';
import { firstLine } from './task-text.ts';

/** The effect of each kind of option. It is shown because the option's name is any text of the agent. */
const EFFECTS: Readonly<Record<PermissionOption['kind'], string>> = {
  allow_once: 'allows',
  allow_always: 'allows always',
  reject_once: 'refuses',
  reject_always: 'refuses always',
};

export const optionLines = (options: readonly PermissionOption[]): string[] =>
  options.map(({ name, option_id: id, kind }, at) => `  ${at + 1}  ${firstLine(name || id)}  (${EFFECTS[kind]})`);

/** Returns the options with their numbers for a message: `1 (Yes), 2 (No)`. */
export const optionNumbers = (options: readonly PermissionOption[]): string =>
  options.map(({ name, option_id: id }, at) => `${at + 1} (${firstLine(name || id)})`).join(', ');
