/** A turn's way into the log, taken as the dispatch step takes it. */
import type { FrameStream } from '../../frames/stream.ts';
import { FrameWriter } from '../../frames/writer.ts';
import type { Frame } from '../../contract/frame.ts';
import { takeTurn, type TakenTurn } from '../../store/attempts.ts';
import type { Sql } from '../../store/sql.ts';
import type { SessionId } from '../../contract/ids.ts';
import type { LabMessage } from './log.ts';

export type Taken = Extract<TakenTurn, { kind: 'taken' }>;
export const LAB_TURN = {
  runId: 'run-1',
  host: 'lab',
  worker: { bootId: 'boot', pid: 4242, startTime: '1' },
  isWorkerAlive: () => true,
};

export async function takeLabTurn(sql: Sql, message: LabMessage, attempt = 1): Promise<Taken> {
  const taken = await takeTurn(sql, { ...LAB_TURN, taskId: message.taskId, attempt });
  if (taken.kind !== 'taken') throw new Error(`expected the turn, got ${JSON.stringify(taken)}`);
  return taken;
}

export function streamOf(writer: FrameWriter, message: LabMessage, taken: Taken): FrameStream {
  const { sessionId, taskId } = message;
  return writer.open({ sessionId, taskId, token: taken.token, written: 0, seq: taken.seq });
}

/** A session whose turn is taken, and its stream. */
export async function openStream(sql: Sql, writer: FrameWriter, message: LabMessage): Promise<FrameStream> {
  return streamOf(writer, message, await takeLabTurn(sql, message));
}

export interface LoggedFrame {
  readonly seq: number;
  readonly key: string | null;
  /** Transaction that wrote it. */
  readonly xmin: string;
  readonly body: Frame;
}

export async function logOf(sql: Sql, sessionId: SessionId): Promise<LoggedFrame[]> {
  const rows = await sql<(Omit<LoggedFrame, 'body'> & { type: string; body: object })[]>`
    SELECT seq, key, xmin::text, type, body FROM frames WHERE session_id = ${sessionId} ORDER BY seq`;
  return rows.map(({ type, body, ...row }) => ({ ...row, body: { type, ...body } as Frame }));
}

/** Text of all deltas, in the log's order. */
export async function textOf(sql: Sql, sessionId: SessionId): Promise<string> {
  const log = await logOf(sql, sessionId);
  return log.map(({ body }) => (body.type === 'delta' ? body.content : '')).join('');
}

/** Throws unless numbers go 1, 2, 3, … and the session's row says the same. */
export async function expectNoHoles(sql: Sql, sessionId: SessionId): Promise<number> {
  const [row] = await sql<{ last: number; count: number; seq: number }[]>`
    SELECT coalesce(max(f.seq), 0)::int AS last, count(f.seq)::int AS count, s.seq
      FROM sessions s LEFT JOIN frames f ON f.session_id = s.id WHERE s.id = ${sessionId} GROUP BY s.seq`;
  if (!row || row.last !== row.count || row.last !== row.seq) throw new Error(`holes: ${JSON.stringify(row)}`);
  return row.count;
}
