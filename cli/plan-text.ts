/** Formats a plan's entries as lines of text. */
import type { PlanEntry } from '../contract/vocabulary.ts';
import { firstLine } from './task-text.ts';
import type { Style } from './terminal.ts';

export function planLine({ status, content }: PlanEntry): string {
  const mark = status === 'completed' ? '☑' : status === 'in_progress' ? '◐' : '☐';
  return `${mark} ${firstLine(content)}`;
}

export const planStyle = ({ status }: PlanEntry): Style => (status === 'in_progress' ? 'bold' : 'dim');
