/** Shows the fields of a form, and converts the texts that a person typed to the values of its fields. */
import type { Elicitation, FormField, FormValue } from '../contract/elicitation.ts';
import { LonghaulError } from '../contract/errors.ts';

type Form = Extract<Elicitation, { mode: 'form' }>;

/** Returns the lines that show the elicitation completely, apart from its message, which is printed before them. */
export function elicitationLines(asked: Elicitation): string[] {
  if (asked.mode === 'url') return [asked.url];
  const { title, description, fields } = asked;
  return [title, description].flatMap((one) => one ?? []).concat(fields.flatMap(fieldLines));
}

/** Returns one line about the field, and one for each of its choices. */
export function fieldLines({ name, title, description, choices, ...field }: FormField): string[] {
  const words = [title === name ? undefined : title, description].filter(Boolean).join(': ');
  const facts = [
    typeText(field.type, choices !== undefined),
    field.required ? 'required' : 'optional',
    ...limits(field),
  ];
  const shown = choices ?? [];
  return [
    `${name} (${facts.join(', ')})${words === '' ? '' : `  ${words}`}`,
    ...shown.map(({ value, title: label, description: more }, at) => {
      const about = [label === value ? undefined : label, more].filter(Boolean).join(': ');
      return `  ${at + 1}  ${value}${about === '' ? '' : `  ${about}`}`;
    }),
  ];
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'whole number',
  boolean: 'yes or no',
  array: 'list, separated by commas',
};

const typeText = (type: string, isChoice: boolean): string =>
  isChoice ? (type === 'array' ? 'any of these' : 'one of these') : (TYPES[type] ?? type);

function limits(field: Omit<FormField, 'name'>): string[] {
  const { default: value, format, pattern, minimum, maximum } = field;
  const { min_length: minLength, max_length: maxLength, min_items: minItems, max_items: maxItems } = field;
  const texts: readonly (readonly [string, FormValue | undefined])[] = [
    ['format', format],
    ['pattern', pattern],
    ['from', minimum],
    ['to', maximum],
    ['at least', minLength ?? minItems],
    ['at most', maxLength ?? maxItems],
    ['default', typeof value === 'object' ? value.join(', ') : value],
  ];
  return texts.flatMap(([name, one]) => (one === undefined ? [] : [`${name} ${one.toString()}`]));
}

/**
 * Converts a text to the type of the field. If that is impossible, the text is returned unchanged, and the check of the
 * form then refuses it.
 */
export function formValue(field: FormField, text: string): unknown {
  switch (field.type) {
    case 'number':
    case 'integer':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
    case 'boolean':
      return /^(?:y|yes|true|1)$/i.test(text) ? true : /^(?:n|no|false|0)$/i.test(text) ? false : text;
    case 'array':
      return text.split(',').flatMap((one) => (one.trim() === '' ? [] : [chosen(field, one.trim())]));
    default:
      return chosen(field, text);
  }
}

/**
 * Returns the choice that the text selects. A number selects the choice at that position, unless the number itself is
 * one of the choices.
 */
function chosen({ choices }: FormField, text: string): string {
  if (!choices || choices.some(({ value }) => value === text) || !/^\d+$/.test(text)) return text;
  return choices[Number(text) - 1]?.value ?? text;
}

/** Returns the values that the options `--set name=value` give. */
export function contentOf({ fields }: Form, assignments: readonly string[]): Record<string, unknown> {
  const content: Record<string, unknown> = {};
  for (const assignment of assignments) {
    const at = assignment.indexOf('=');
    const name = assignment.slice(0, Math.max(0, at));
    const field = fields.find((one) => one.name === name);
    if (at < 1 || !field) {
      const names = fields.map((one) => one.name).join(', ') || 'none, because the form has no field';
      throw new LonghaulError('invalid_input', `--set: expected NAME=VALUE with one of the fields ${names}; found ${assignment}.`); // prettier-ignore
    }
    content[name] = formValue(field, assignment.slice(at + 1));
  }
  return content;
}
