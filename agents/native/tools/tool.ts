/** The interface of the native agent's tools. */
import type { ToolCallContent, ToolKind } from '@agentclientprotocol/sdk/unstable';
import type { z } from 'zod';

export interface ToolContext {
  /** The real path of the working directory. */
  readonly cwd: string;
  /**
   * The file to which new content is written before it is renamed to its target. It is outside of the working
   * directory.
   */
  readonly draft: string;
  /** The agent's own environment. Programs that a tool starts get it without the keys of providers. */
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Called while a tool runs, with the output so far. */
  readonly onOutput: (text: string) => void;
}

export interface ToolOutput {
  readonly ok: boolean;
  /** The text that the model gets. */
  readonly text: string;
}

/** The complete call, as a person sees it before it is executed. */
export interface ShownCall {
  readonly title: string;
  readonly paths: readonly string[];
  readonly content?: ToolCallContent;
}

/**
 * A change of one file that is computed before it is made. After an interruption, the hashes show whether the change
 * was made.
 */
export interface PlannedEdit {
  readonly path: string;
  readonly before: string | null;
  readonly after: string;
}

export interface Tool<Input> {
  readonly name: string;
  readonly kind: ToolKind;
  readonly description: string;
  readonly input: z.ZodType<Input>;
  /**
   * True if the tool changes something. Such a tool needs a permission, and the modes `ask` and `plan` do not offer
   * such a tool.
   */
  readonly changes: boolean;
  /** Returns what a person sees. Fails with ToolRefusal. */
  show(input: Input, context: ToolContext): ShownCall;
  /** Returns the edit. Present only for tools that edit one file. Fails with ToolRefusal. */
  plan?(input: Input, context: ToolContext): PlannedEdit;
  /** Executes the call. Fails with ToolRefusal. */
  run(input: Input, context: ToolContext): Promise<ToolOutput>;
}

/**
 * A tool without its input type, so that tools of different inputs fit one list. `prepare` checks the input, so it must
 * precede every other call.
 */
export interface AnyTool {
  readonly name: string;
  readonly kind: ToolKind;
  readonly description: string;
  readonly changes: boolean;
  readonly schema: z.ZodType;
  /** Returns a call with checked arguments, or a sentence for the model if the arguments are wrong. */
  prepare(input: unknown): PreparedCall | string;
}

export interface PreparedCall {
  show(context: ToolContext): ShownCall;
  plan(context: ToolContext): PlannedEdit | undefined;
  run(context: ToolContext): Promise<ToolOutput>;
}

export function anyTool<Input>(tool: Tool<Input>): AnyTool {
  const { name, kind, description, changes, input: schema } = tool;
  return {
    name,
    kind,
    description,
    changes,
    schema,
    prepare(given) {
      const parsed = schema.safeParse(given);
      if (!parsed.success) {
        const wrong = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'arguments'}: ${message}`);
        return `The arguments of ${name} are wrong: ${wrong.join('; ')}. Call it again with correct arguments.`;
      }
      const { data } = parsed;
      return {
        show: (context) => tool.show(data, context),
        plan: (context) => tool.plan?.(data, context),
        run: (context) => tool.run(data, context),
      };
    },
  };
}
