/**
 * What an agent says and shows, in the words that drivers, frames and rows share. Field names are those of
 * the rows and frames (snake_case).
 */

/** One entry of a tool call's content, already cut to size. */
export type ToolCallContent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'diff'; readonly path: string; readonly old_text?: string; readonly new_text: string }
  | { readonly type: 'terminal'; readonly terminal_id: string }
  | { readonly type: 'other'; readonly json: string };

/** A tool call as it stands now: each event replaces the whole object of that id. */
export interface ToolCall {
  readonly tool_call_id: string;
  readonly title: string;
  /** ACP's kinds: read, edit, delete, move, search, execute, think, fetch, switch_mode, other. */
  readonly kind: string;
  readonly status: 'pending' | 'in_progress' | 'completed' | 'failed';
  readonly locations: readonly { readonly path: string; readonly line?: number }[];
  readonly content: readonly ToolCallContent[];
  readonly raw_input?: unknown;
  readonly raw_output?: unknown;
}

export interface PlanEntry {
  readonly content: string;
  readonly priority: string;
  readonly status: string;
}

export interface AgentCommand {
  readonly name: string;
  readonly description: string;
}

export interface Usage {
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly total_tokens?: number;
  /** Context window in use and its size, where the agent says. */
  readonly context_used?: number;
  readonly context_size?: number;
  readonly cost?: { readonly amount: number; readonly currency: string };
}

export interface PermissionOption {
  readonly option_id: string;
  readonly name: string;
  readonly kind: 'allow_once' | 'allow_always' | 'reject_once' | 'reject_always';
}
