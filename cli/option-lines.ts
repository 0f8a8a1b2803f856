/** Shows the options of a request with the digits that choose them. */
import type { PermissionOption } from '../contract/vocabulary.ts';
import { firstLine } from './task-text.ts';

/** An option's name is any text of the agent, so the line says what the option does. */
const EFFECTS: Readonly<Record<PermissionOption['kind'], string>> = {
  allow_once: 'allows',
  allow_always: 'allows always',
  reject_once: 'refuses',
  reject_always: 'refuses always',
};

export const optionLines = (options: readonly PermissionOption[]): string[] =>
  options.map(({ name, option_id: id, kind }, at) => `  ${at + 1}  ${firstLine(name || id)}  (${EFFECTS[kind]})`);

/** For a message: `1 (Yes), 2 (No)`. */
export const optionNumbers = (options: readonly PermissionOption[]): string =>
  options.map(({ name, option_id: id }, at) => `${at + 1} (${firstLine(name || id)})`).join(', ');
