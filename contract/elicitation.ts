/**
 * A question of an agent that is no permission: a form that a person fills in, or an address that a person opens. The
 * field names are those of the rows and frames (snake_case).
 */
import type { PermissionOption } from './vocabulary.ts';

/** The value of one field of a form, as ACP allows it. */
export type FormValue = string | number | boolean | readonly string[];

export interface FormChoice {
  readonly value: string;
  readonly title: string;
  readonly description?: string;
}

export interface FormField {
  readonly name: string;
  /** `array` is a list of texts. A field of any other type accepts every value that ACP allows. */
  readonly type: string;
  readonly title?: string;
  readonly description?: string;
  readonly required: boolean;
  readonly default?: FormValue;
  /** If present, only these values are valid. With the type `array`, several of them. */
  readonly choices?: readonly FormChoice[];
  readonly min_length?: number;
  readonly max_length?: number;
  readonly pattern?: string;
  /** `email`, `uri`, `date` or `date-time`. Another format is not checked. */
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
      /** In the order in which the agent names them. A JSON object in a row would lose this order. */
      readonly fields: readonly FormField[];
    }
  | { readonly mode: 'url'; readonly message: string; readonly url: string };

export type FormContent = Readonly<Record<string, FormValue>>;

/**
 * Returns the options that a person sees: the three answers of ACP are their ids, so each channel offers and stores them
 * as it does the options of a permission request. `allow` selects `accept`, and `deny` selects `decline`.
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
