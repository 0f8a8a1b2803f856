/** The data that an attempt passes to the turn that it starts, and that the parts of the turn share. */
import type { FrameStream } from '../frames/stream.ts';
import type { TakenTurn } from '../store/attempts.ts';
import type { TurnTask } from '../store/turn-task.ts';
import type { Hibernation } from './hibernation.ts';
import type { RecordedMessage } from './recorder.ts';
import type { StepDeps } from './step.ts';
import type { TurnProgress } from './turn-progress.ts';

export interface TurnStart {
  readonly task: TurnTask;
  readonly taken: Extract<TakenTurn, { kind: 'taken' }>;
  /** Whether the task may wait for a usage limit whose end is known. */
  readonly mayWait: boolean;
  /** Whether the task's run can wait for an answer without an agent. */
  readonly mayHibernate: boolean;
}

export interface TurnContext extends TurnStart {
  readonly deps: StepDeps;
  readonly stream: FrameStream;
  readonly progress: TurnProgress;
  /** Aborted when the turn must end. */
  readonly signal: AbortSignal;
  readonly hibernation: Hibernation;
}

export const recordedMessage = ({ message_id, chat_id }: TurnTask): RecordedMessage => ({ message_id, chat_id });
