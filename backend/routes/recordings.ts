/** The route for recordings: the terminal output of a task's agent. */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { z } from 'zod';
import { getRecording } from '../../client/recordings.ts';
import type { TaskId } from '../../contract/ids.ts';
import type { Api, RouteDeps } from '../deps.ts';
import { idParams, problems, query } from '../schemas.ts';

const compress = promisify(gzip);
/** Returns whether the client accepts gzip. An encoding with `q=0` is one that the client refuses. */
function acceptsGzip(accepted: string | string[] = ''): boolean {
  const encodings = String(accepted).toLowerCase().split(',');
  return encodings.some((one) => /^\s*gzip\s*(?:;|$)/.test(one) && !/;\s*q=0(?:\.0*)?\s*$/.test(one));
}

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
  api.get('/tasks/:id/recording', { schema: show }, async ({ params, query: wanted, headers }, reply) => {
    const { count, cast } = await getRecording(longhaul, params.id as TaskId, wanted.number);
    reply.type(ASCIICAST).header('x-recordings', String(count)).header('vary', 'accept-encoding');
    if (!acceptsGzip(headers['accept-encoding'])) return reply.send(cast);
    // The recording is compressed again, because the stored gzip stream may be incomplete.
    return reply.header('content-encoding', 'gzip').send((await compress(cast)) as Buffer & string); // bytes pass the serializer unchanged
  });
}
