/**
 * Defines an elicitation: a prompt of an agent that asks for no permission, but for values of a form, or for a visit to
 * an address. The field names are those of the rows and frames (snake_case).
 */
import type { PermissionOption } from './vocabulary.ts';

/** The value of one field of a form. ACP allows these types. */
export type FormValue = string | number | boolean | readonly string[];

export interface FormChoice {
  readonly value: string;
  readonly title: string;
  readonly description?: string;
}

export interface FormField {
  readonly name: string;
  /**
   * `string`, `number`, `integer`, `boolean` or `array`, which is a list of texts. A field of any other type accepts
   * every value that ACP allows.
   */
  readonly type: string;
  readonly title?: string;
  readonly description?: string;
  readonly required: boolean;
  readonly default?: FormValue;
  /**
   * If present, only these values are valid. A field of the type `array` accepts several of them, any other field one.
   */
  readonly choices?: readonly FormChoice[];
  readonly min_length?: number;
  readonly max_length?: number;
  readonly pattern?: string;
  /** `email`, `uri`, `date` or `date-time`. An answer is not checked against any other format. */
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly min_items?: number;
  readonly max_items?: number;
}

export type Elicitation =
  | {
      readonly mode: 'form';
      readonly message: string;
      readonly title?: string;
      readonly description?: string;
      /**
       * The fields in the agent's order. An object with one property for each field would lose this order in a JSON
       * column.
       */
      readonly fields: readonly FormField[];
    }
  | { readonly mode: 'url'; readonly message: string; readonly url: string };

export type FormContent = Readonly<Record<string, FormValue>>;

/**
 * Returns the options that a person sees. Their ids are the three answers of ACP, so each channel can show and store
 * them like the options of a permission request. The answer `allow` selects `accept`, and `deny` selects `decline`.
 */
export function elicitationOptions({ mode }: Elicitation): PermissionOption[] {
  return [
    {
      option_id: 'accept',
      name: mode === 'form' ? 'Send the form' : 'Accept: you open the address',
      kind: 'allow_once',
    },
    { option_id: 'decline', name: 'Decline', kind: 'reject_once' },
    { option_id: 'cancel', name: 'Cancel', kind: 'reject_once' },
  ];
}
