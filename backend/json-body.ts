/** Parses request bodies. A body is JSON in UTF-8 or empty; anything else is refused, not converted. */
import type { FastifyInstance } from 'fastify';
import { LonghaulError } from '../contract/errors.ts';
import { jsonFault } from './json-fault.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Replaces Fastify's body parsers by one that accepts only JSON in UTF-8, without compression, or an empty body. */
export function acceptJsonOnly(server: FastifyInstance): void {
  const parseJson = server.getDefaultJsonParser('error', 'error');
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      return done(new LonghaulError('unsupported_media_type', `Content-Encoding: expected none, found ${JSON.stringify(encoding)}.`)); // prettier-ignore
    }
    const charset = charsetOf(request.headers['content-type'] ?? '');
    if (charset !== undefined && charset !== 'utf-8') {
      return done(new LonghaulError('unsupported_media_type', `Content-Type: expected charset utf-8 or none, found ${JSON.stringify(charset)}.`)); // prettier-ignore
    }
    let text: string;
    try {
      text = utf8.decode(body);
    } catch {
      return done(new LonghaulError('invalid_input', 'body: expected UTF-8, found bytes that are not UTF-8.'));
    }
    // Several clients send a Content-Type without a body. If a body is required, its schema refuses the request.
    if (text === '') return done(null);
    return parseJson(request, text, (error, value?: unknown) => {
      const fault = error === null ? undefined : jsonFault(text);
      if (fault === undefined) return done(error, value);
      return done(new LonghaulError('invalid_input', `body: expected JSON, found ${fault}.`));
    });
  });
}

/**
 * Returns the charset in lower case. If the header names two, the first counts, as for every parameter of a media type.
 */
const charsetOf = (type: string): string | undefined =>
  /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(type)?.[1]?.toLowerCase();
