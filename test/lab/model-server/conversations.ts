/** What three kinds of model API are asked, in one shape. */

export type Json = Readonly<Record<string, unknown>>;
export type ApiName = 'chat' | 'anthropic' | 'google';

export interface AskedCall {
  readonly id: string;
  readonly name: string;
  /** Undefined: no JSON object. */
  readonly input: Json | undefined;
}

export interface AskedMessage {
  readonly role: 'user' | 'assistant' | 'tool';
  /** Text blocks, as they came. */
  readonly texts: readonly string[];
  readonly reasoning: readonly string[];
  readonly calls: readonly AskedCall[];
  readonly results: readonly { readonly id: string; readonly text: string }[];
}

export interface Asked {
  readonly model: string;
  readonly system: string;
  readonly tools: readonly string[];
  readonly messages: readonly AskedMessage[];
}

export const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const object = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const text = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
const NONE = { texts: [], reasoning: [], calls: [], results: [] } as const;

function jsonObject(value: unknown): Json | undefined {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  if (typeof value !== 'string') return undefined;
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'string' ? undefined : jsonObject(parsed);
  } catch {
    return undefined;
  }
}

/** Of a text, or of blocks of text. */
const blocks = (content: unknown): string[] =>
  typeof content === 'string'
    ? [content]
    : list(content).flatMap((one) => (one['type'] === 'text' ? [text(one['text'])] : []));

function readChat(body: Json): Asked {
  const all = list(body['messages']);
  const messages = all.flatMap((message): AskedMessage[] => {
    const { role, content } = message;
    if (role === 'system' || role === 'developer') return [];
    if (role === 'tool') {
      const result = { id: text(message['tool_call_id']), text: blocks(content).join('') };
      return [{ ...NONE, role: 'tool', results: [result] }];
    }
    const calls = list(message['tool_calls']).map((call) => {
      const { name, arguments: input } = object(call['function']);
      return { id: text(call['id']), name: text(name), input: jsonObject(input) };
    });
    const thought = message['reasoning_content'];
    const reasoning = typeof thought === 'string' && thought !== '' ? [thought] : [];
    const texts =
      content === null || content === undefined || (content === '' && calls.length > 0) ? [] : blocks(content);
    return [{ ...NONE, role: role === 'assistant' ? 'assistant' : 'user', texts, reasoning, calls }];
  });
  return {
    model: text(body['model']),
    system: all.filter(({ role }) => role === 'system').map(({ content }) => text(content)).join('\n'), // prettier-ignore
    tools: list(body['tools']).map((tool) => text(object(tool['function'])['name'])),
    messages: joined(messages),
  };
}

/** Results of one message come as messages of their own. */
function joined(messages: readonly AskedMessage[]): AskedMessage[] {
  const out: AskedMessage[] = [];
  for (const message of messages) {
    const before = out.at(-1);
    if (message.role === 'tool' && before?.role === 'tool') {
      out[out.length - 1] = { ...before, results: [...before.results, ...message.results] };
    } else out.push(message);
  }
  return out;
}

function readAnthropic(body: Json): Asked {
  const messages = list(body['messages']).flatMap((message): AskedMessage[] => {
    const parts = typeof message['content'] === 'string' ? [{ type: 'text', text: message['content'] }] : list(message['content']); // prettier-ignore
    const of = (type: string): Json[] => parts.filter((part) => part['type'] === type);
    const texts = of('text').map((part) => text(part['text']));
    if (message['role'] === 'assistant') {
      const reasoning = of('thinking').map((part) => text(part['thinking']));
      const calls = of('tool_use').map((part) => ({ id: text(part['id']), name: text(part['name']), input: jsonObject(part['input']) })); // prettier-ignore
      return [{ ...NONE, role: 'assistant', texts, reasoning, calls }];
    }
    const results = of('tool_result').map((part) => ({
      id: text(part['tool_use_id']),
      text: blocks(part['content']).join(''),
    }));
    const said: AskedMessage[] = texts.length === 0 ? [] : [{ ...NONE, role: 'user', texts }];
    return results.length === 0 ? said : [{ ...NONE, role: 'tool', results }, ...said];
  });
  return {
    model: text(body['model']),
    system: blocks(body['system']).join('\n'),
    tools: list(body['tools']).map((tool) => text(tool['name'])),
    messages,
  };
}

/** Google's calls have no id: a result belongs to the call of its name, in order. */
function readGoogle(body: Json, model: string): Asked {
  let number = 0;
  let open: { id: string; name: string }[] = [];
  const messages = list(body['contents']).flatMap((content): AskedMessage[] => {
    const parts = list(content['parts']);
    const texts = parts.flatMap((part) => ('text' in part && part['thought'] !== true ? [text(part['text'])] : []));
    if (content['role'] === 'model') {
      const reasoning = parts.flatMap((part) => (part['thought'] === true ? [text(part['text'])] : []));
      const calls = parts.flatMap((part) => {
        if (!('functionCall' in part)) return [];
        const { name, args } = object(part['functionCall']);
        return [{ id: `${(number += 1)}`, name: text(name), input: jsonObject(args) }];
      });
      open = calls.map(({ id, name }) => ({ id, name }));
      return [{ ...NONE, role: 'assistant', texts, reasoning, calls }];
    }
    const results = parts.flatMap((part) => {
      if (!('functionResponse' in part)) return [];
      const { name, response } = object(part['functionResponse']);
      const at = open.findIndex((call) => call.name === name);
      const [call] = at === -1 ? [] : open.splice(at, 1);
      return [{ id: call?.id ?? `none of ${text(name)}`, text: text(object(response)['content'] ?? response) }];
    });
    const said: AskedMessage[] = texts.length === 0 ? [] : [{ ...NONE, role: 'user', texts }];
    return results.length === 0 ? said : [{ ...NONE, role: 'tool', results }, ...said];
  });
  return {
    model,
    system: list(object(body['systemInstruction'])['parts']).map((part) => text(part['text'])).join('\n'), // prettier-ignore
    tools: list(body['tools']).flatMap((tool) => list(tool['functionDeclarations']).map(({ name }) => text(name))),
    messages,
  };
}

export function readAsked(api: ApiName, path: string, body: Json): Asked {
  switch (api) {
    case 'chat':
      return readChat(body);
    case 'anthropic':
      return readAnthropic(body);
    case 'google':
      return readGoogle(body, /models\/([^:/]+):/.exec(path)?.[1] ?? '');
  }
}
