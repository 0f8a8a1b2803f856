/** What providers demand of a conversation, each rule as strict as the strictest of them. */
import type { Asked, AskedMessage } from './conversations.ts';

/** The fake's thoughts name the model that had them. */
export const thoughtOf = (model: string, words: string): string => `thought(${model}) ${words}`;

const NAME = /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/;
const ID = /^[a-zA-Z0-9_-]+$/;

/** One sentence a broken rule; none: the conversation is accepted. */
export function brokenRules({ messages, model }: Asked): string[] {
  const first = messages[0];
  const last = messages.at(-1);
  return [
    ...(first?.role === 'user' ? [] : [`the first message must be of role user, found ${first?.role ?? 'none'}`]),
    ...(last?.role === 'assistant' ? ['the last message must not be of role assistant'] : []),
    ...messages.flatMap((message, index) => brokenIn(message, { model, before: messages[index - 1], after: messages[index + 1] }).map((rule) => `message ${index}: ${rule}`)), // prettier-ignore
    ...doubled(messages).map((id) => `the tool call id ${id} occurs twice`),
  ];
}

interface Around {
  readonly model: string;
  readonly before: AskedMessage | undefined;
  readonly after: AskedMessage | undefined;
}

function brokenIn(message: AskedMessage, { model, before, after }: Around): string[] {
  const broken: string[] = [];
  const must = (isSo: boolean, rule: string): void => void (isSo || broken.push(rule));
  const texts = [...message.texts, ...message.reasoning, ...message.results.map(({ text }) => text)];
  must(texts.every((text) => text.isWellFormed()), 'text must be well-formed Unicode'); // prettier-ignore
  must(message.texts.every((text) => text.trim() !== ''), 'a text block must not be empty'); // prettier-ignore
  must(before?.role !== message.role, `two messages of role ${message.role} in a row`);
  switch (message.role) {
    case 'user':
      must(message.texts.length > 0, 'a user message must have text');
      break;
    case 'assistant': {
      must(message.texts.length > 0 || message.calls.length > 0, 'an assistant message must not be empty');
      must(
        message.reasoning.every((text) => text.startsWith(thoughtOf(model, ''))),
        `reasoning must be of ${model}`,
      );
      for (const { id, name, input } of message.calls) {
        must(NAME.test(name), `the name of a tool must match ${NAME}, found ${JSON.stringify(name)}`);
        must(ID.test(id), `the id of a call must match ${ID}, found ${JSON.stringify(id)}`);
        must(input !== undefined, `the arguments of ${name} must be a JSON object`);
      }
      const [asked, given] = [message.calls, after?.role === 'tool' ? after.results : []];
      for (const { id } of asked) {
        must(
          given.filter((one) => one.id === id).length === 1,
          `the call ${id} must have one result in the next message`,
        );
      }
      break;
    }
    case 'tool': {
      const asked = before?.role === 'assistant' ? before.calls.map(({ id }) => id) : [];
      for (const { id, text } of message.results) {
        must(asked.includes(id), `the result of ${id} must follow its call`);
        must(text !== '', 'a result must not be empty');
      }
      break;
    }
  }
  return broken;
}

function doubled(messages: readonly AskedMessage[]): string[] {
  const ids = messages.flatMap(({ calls }) => calls.map(({ id }) => id));
  return ids.filter((id, index) => ids.indexOf(id) !== index);
}
