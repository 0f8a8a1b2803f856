/** What the conformance suite asks of a program under test: abstract acts, and which abilities it declares. */
import type { SessionChoices } from '../../../agents/driver.ts';
import type { AgentLaunch } from '../../../agents/launch/launch.ts';
import type { Lab } from '../lab.ts';

/** What the program, or the model behind it, does in a turn. The turn completes after the last act. */
export type Act =
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'think'; readonly text: string }
  /** Writes a file of the working directory, as one tool call; with `asks` only after a permission was granted. */
  | { readonly kind: 'edit'; readonly file: string; readonly content: string; readonly asks: boolean }
  /** Runs `sh -c script` in the working directory and waits for its end, as one tool call that does not ask. */
  | { readonly kind: 'run'; readonly script: string }
  /** Message text of this size, in many updates. */
  | { readonly kind: 'flood'; readonly megabytes: number }
  /** Does nothing until it is cancelled, with no output and no open tool call. */
  | { readonly kind: 'hang' };

/**
 * What a program may lack. `false` is a statement that the suite checks: a program that declares to lack what it has fails.
 * tools: edits and commands are reported as tool calls. permissions: an edit can ask. reasoning: thoughts are reported.
 * resume: sessions can be loaded. choices: a model can be chosen. usage: the end of a turn has tokens.
 */
export const ABILITIES = ['tools', 'permissions', 'reasoning', 'resume', 'choices', 'usage'] as const;
export type Ability = (typeof ABILITIES)[number];
export type Abilities = Readonly<Record<Ability, boolean>>;

export interface AgentUnderTest {
  readonly launch: AgentLaunch;
  /** The prompt whose turn performs these acts. A fake model is prepared for it here. */
  prompt(acts: readonly Act[]): string;
  /** With the ability `choices`: choices that differ from the defaults, and whether a turn of this prompt was made with them. */
  readonly choices?: {
    readonly set: SessionChoices;
    readonly prompt: string;
    shown(lab: Lab): boolean;
  };
  /** Ends what `make` started. */
  close?(): Promise<void>;
}

/** Called once in each test. `lab.home` is the HOME of the program. */
export type MakeAgent = (lab: Lab) => AgentUnderTest | Promise<AgentUnderTest>;
