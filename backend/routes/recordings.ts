/** Recordings of tasks' terminals. */
import { z } from 'zod';
import { getRecording } from '../../client/recordings.ts';
import type { TaskId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { idParams, problems, query } from '../schemas.ts';

const ASCIICAST = 'application/x-asciicast';
const number = z.coerce.number().int().min(1).max(10_000).optional();

export function recordingRoutes(api: Api, { longhaul }: RouteDeps): void {
  const show = {
    operationId: 'getTaskRecording',
    summary: "What the terminal of a task's agent showed, as an asciicast (version 2)",
    tags: ['tasks'],
    params: idParams,
    querystring: query({ number: number.describe('Which of its recordings, from 1; the default is the last.') }),
    response: {
      200: { description: 'The asciicast.', content: { [ASCIICAST]: { schema: z.string() } } },
      ...problems('missing'),
    },
  };
  api.get('/tasks/:id/recording', { schema: show }, async ({ params, query: wanted }, reply) => {
    const { count, cast } = await getRecording(longhaul, params.id as TaskId, wanted.number);
    return reply.type(ASCIICAST).header('x-recordings', String(count)).send(cast);
  });
}
