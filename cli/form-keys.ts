/** Collects the values of a form from the keyboard, field by field: Enter ends a value, Esc leaves the form. */
import type { Elicitation, FormField } from '../contract/elicitation.ts';
import { fieldLines, formValue } from './form-values.ts';

export class FormKeys {
  readonly #fields: readonly FormField[];
  readonly #say: (text: string) => void;
  readonly #content: Record<string, unknown> = {};
  #text = '';
  #at = 0;

  constructor({ fields }: Extract<Elicitation, { mode: 'form' }>, say: (text: string) => void) {
    this.#fields = fields;
    this.#say = say;
    say('Enter ends a value, an empty value is the default or none, Esc leaves the form');
    this.#introduce();
  }

  get shown(): string | undefined {
    const field = this.#fields[this.#at];
    return field && `${field.name}: ${this.#text}▏`;
  }

  /**
   * Handles one key. Returns the values after the last field has its value, `left` if the user closes the form without
   * sending it, and otherwise undefined.
   */
  press(key: string): Record<string, unknown> | 'left' | undefined {
    const field = this.#fields[this.#at];
    if (!field || key === '\u001b') return 'left';
    if (key === '\r' || key === '\n') return this.#enter(field);
    if (key === '\u007f' || key === '\b') this.#text = this.#text.replace(/.$/su, '');
    else this.#text += key;
    return undefined;
  }

  #enter(field: FormField): Record<string, unknown> | undefined {
    if (this.#text === '' && field.required && field.default === undefined) {
      this.#say(`${field.name} is required`);
      return undefined;
    }
    if (this.#text !== '') this.#content[field.name] = formValue(field, this.#text);
    this.#text = '';
    this.#at += 1;
    if (this.#at === this.#fields.length) return this.#content;
    this.#introduce();
    return undefined;
  }

  #introduce(): void {
    const field = this.#fields[this.#at];
    if (field) for (const line of fieldLines(field)) this.#say(line);
  }
}
