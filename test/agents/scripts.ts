/** The scripts of scripted agents. */
export const text = (words: string) => ({
  sessionUpdate: 'agent_message_chunk',
  content: { type: 'text', text: words },
});
export const block = (content: object) => ({ sessionUpdate: 'agent_message_chunk', content });
export const permission = (...options: object[]) => ({
  ask: 'session/request_permission',
  params: { sessionId: 'scripted-session', toolCall: { toolCallId: 'p', title: 'Remove it', kind: 'delete' }, options },
});
export const ALLOW_ONCE = { optionId: 'x', name: 'Once', kind: 'allow_once' };
export const ALLOW_ALWAYS = { optionId: 'y', name: 'Always', kind: 'allow_always' };
export const REJECT = { optionId: 'z', name: 'No', kind: 'reject_once' };
const elicit = (params: object) => ({
  ask: 'elicitation/create',
  params: { sessionId: 'scripted-session', ...params },
});
export const FORM = elicit({
  mode: 'form',
  message: 'Which service?',
  requestedSchema: {
    type: 'object',
    properties: {
      name: { type: 'string', title: 'Name', maxLength: 20, description: null },
      size: { type: 'integer', minimum: 1, maximum: 9, default: 3 },
      region: { type: 'string', oneOf: [{ const: 'eu', title: 'Europe' }, { const: 'us' }] },
    },
    required: ['name'],
  },
});
export const VISIT = elicit({ mode: 'url', message: 'Log in', elicitationId: 'e1', url: 'https://example.org/login' });
