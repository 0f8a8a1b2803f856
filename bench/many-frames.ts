/** Inserts the frames of many tasks as the steps and the frame writer would have left them an hour ago. */
import type { Sql } from '../store/sql.ts';

/** The number of frames of one task: 103 streamed frames (words, tool calls, usage) and seven frames of steps. */
export const FRAMES_A_TASK = 110;

/** Inserts the tasks `from` (included) to `to` (excluded) of each session, all of which have ended. */
export async function addTasks(sql: Sql, tasks: { sessions: number; from: number; to: number }): Promise<void> {
  const { sessions, from, to } = tasks;
  await sql.begin(async (tx) => {
    await tx`
      INSERT INTO sessions (id, name) SELECT md5('session ' || s)::uuid, 'bench' FROM generate_series(1, ${sessions}::int) s
      ON CONFLICT (id) DO NOTHING`;
    await tx`
      INSERT INTO messages (id, session_id, chat_id, role, content, status, created_at, finished_at)
      SELECT md5(s || ' message ' || t)::uuid, md5('session ' || s)::uuid, md5('chat ' || s)::uuid, 'assistant',
             repeat('words of an agent. ', 300), 'complete', now() - interval '2 hours' + t * interval '1 second', now() - interval '1 hour'
        FROM generate_series(1, ${sessions}::int) s, generate_series(${from}::int, ${to}::int - 1) t`;
    await tx`
      INSERT INTO frames (session_id, seq, type, task_id, at, body, key)
      SELECT md5('session ' || s)::uuid, t * ${FRAMES_A_TASK} + n, kind.type, md5(s || ' task ' || t)::uuid, now() - interval '1 hour',
             jsonb_build_object('message_id', md5(s || ' message ' || t)::uuid, 'chat_id', md5('chat ' || s)::uuid) ||
             CASE kind.type
               WHEN 'delta' THEN jsonb_build_object('content', 'words of an agent. words of an agent. words of an agent. ')
               WHEN 'tool_call' THEN jsonb_build_object('call', jsonb_build_object('tool_call_id', n::text, 'title', 'Edit', 'content', repeat('a line of a file ', 60)))
               WHEN 'usage' THEN '{"usage": {"total_tokens": 1000}}'
               WHEN 'agent_commands' THEN jsonb_build_object('commands', jsonb_build_array(jsonb_build_object('name', 'plan', 'description', repeat('what it does ', 40))))
               ELSE '{"state": "running", "phase": "working"}'
             END,
             CASE WHEN kind.type NOT IN ('delta', 'tool_call', 'usage') THEN t || ':' || n END
        FROM generate_series(1, ${sessions}::int) s, generate_series(${from}::int, ${to}::int - 1) t, generate_series(1, ${FRAMES_A_TASK}) n,
             LATERAL (SELECT CASE
               WHEN n = 1 THEN 'message_started' WHEN n = 2 THEN 'agent_commands' WHEN n IN (3, 4, 110) THEN 'task_state'
               WHEN n = 108 THEN 'message_complete' WHEN n = 109 THEN 'change_queued'
               WHEN n % 20 = 0 THEN 'usage' WHEN n % 10 = 5 THEN 'tool_call' ELSE 'delta' END AS type) kind`;
    await tx`UPDATE sessions SET seq = ${to * FRAMES_A_TASK}`;
  });
}

/** Inserts into each session one message that is still being streamed, with frames of the current time. */
export async function addStreaming(sql: Sql, { sessions, at }: { sessions: number; at: number }): Promise<void> {
  await addTasks(sql, { sessions, from: at, to: at + 1 });
  await sql`
    UPDATE messages SET status = 'streaming', content = '', finished_at = NULL, created_at = now()
     WHERE id IN (SELECT md5(s || ' message ' || ${at}::int)::uuid FROM generate_series(1, ${sessions}::int) s)`;
  await sql`UPDATE frames SET at = now() WHERE seq > ${at * FRAMES_A_TASK}`;
}
