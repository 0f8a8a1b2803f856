/** A database as backends had it before Longhaul. */

/** The tables that backends rely on, with exactly these columns. */
export const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  projects: ['id', 'name', 'path'],
  available_agents: ['name', 'supports_acp', 'install_path'],
  sessions: ['id', 'project_id', 'name', 'model', 'status'],
  chats: ['id', 'session_id', 'name', 'status', 'created_at'],
  tasks:
    'id project_id input agent model mode_id thinking_option_id session_id state execution_path created_at started_at ended_at output_summary cost_tokens'.split(
      ' ',
    ),
  messages: 'id session_id chat_id role content status tokens_used created_at finished_at'.split(' '),
  pending_changes: ['id', 'session_id', 'task_id', 'file_path', 'operation', 'diff'],
};

const isId = (column: string): boolean => column === 'id' || column.endsWith('_id');

function typeOf(column: string): string {
  if (column === 'mode_id' || column === 'thinking_option_id') return 'text';
  if (isId(column)) return 'uuid';
  if (column.endsWith('_at')) return 'timestamptz';
  if (column === 'supports_acp') return 'boolean';
  return column === 'cost_tokens' || column === 'tokens_used' ? 'integer' : 'text';
}

/** As SQL, without keys or defaults. */
export function bareTables(): string {
  return Object.entries(COLUMNS)
    .map(([table, columns]) => `CREATE TABLE ${table} (${columns.map((c) => `${c} ${typeOf(c)}`).join(', ')});`)
    .join('\n');
}
