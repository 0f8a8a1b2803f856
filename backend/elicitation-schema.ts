/** The schema of an elicitation in the OpenAPI document. */
import { z } from 'zod';

const loose = z.looseObject;
const value = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);

const field = loose({
  name: z.string(),
  type: z.string().describe('string, number, integer, boolean or array (a list of texts).'),
  title: z.string().optional(),
  description: z.string().optional(),
  required: z.boolean(),
  default: value.optional().describe('The value, if the answer omits the field.'),
  choices: z
    .array(loose({ value: z.string(), title: z.string(), description: z.string().optional() }))
    .optional()
    .describe('Only these values are valid; with the type array, several of them.'),
  min_length: z.number().optional(),
  max_length: z.number().optional(),
  pattern: z.string().optional(),
  format: z.string().optional().describe('email, uri, date or date-time.'),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  min_items: z.number().optional(),
  max_items: z.number().optional(),
}).meta({ id: 'FormField' });

export const elicitation = z
  .discriminatedUnion('mode', [
    loose({
      mode: z.literal('form'),
      message: z.string(),
      title: z.string().optional(),
      description: z.string().optional(),
      fields: z.array(field),
    }),
    loose({ mode: z.literal('url'), message: z.string(), url: z.string().describe('A person opens it in a browser.') }),
  ])
  .meta({ id: 'Elicitation' });
