/**
 * Routes for the chats of a session. Each chat has its own conversation with each agent. All chats work in the
 * session's worktree.
 */
import { z } from 'zod';
import { createChat, listChats } from '../../client/chats.ts';
import type { SessionId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { id, idParams, nullableText, problems, text, time } from '../schemas.ts';

const chat = z.object({ id, name: nullableText, status: nullableText, created_at: time }).meta({ id: 'Chat' });
const tags = ['sessions'];

export function chatRoutes(api: Api, { longhaul }: RouteDeps): void {
  const list = {
    operationId: 'listChats',
    summary: 'The chats of a session, oldest first',
    description: 'At most 1000.',
    tags,
    params: idParams,
    response: { 200: z.object({ items: z.array(chat) }), ...problems('missing') },
  };
  api.get('/sessions/:id/chats', { schema: list }, async ({ params }) => ({
    items: await listChats(longhaul, params.id as SessionId),
  }));

  const create = {
    operationId: 'createChat',
    summary: 'Add a chat to a session',
    description:
      'A task with its chat_id continues the conversation that its agent has in this chat. A task without one gets the newest open chat of its session.',
    tags,
    params: idParams,
    body: z.strictObject({ name: text(200).describe('For people.') }),
    response: { 201: chat, ...problems('missing', 'body') },
  };
  api.post('/sessions/:id/chats', { schema: create }, async ({ params, body }, reply) =>
    reply.code(201).send(await createChat(longhaul, params.id as SessionId, body.name)),
  );
}
