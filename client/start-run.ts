/**
 * Starts the workflow of a claimed task. Temporal starts a workflow id only once, so a second start finds the first
 * run.
 */
import type { Client } from '@temporalio/client';
import {
  defineSearchAttributeKey,
  SearchAttributeType,
  type SearchAttributePair,
  TypedSearchAttributes,
} from '@temporalio/common';
import type { ClaimedTask } from '../store/queue.ts';
import { SEARCH_ATTRIBUTES, taskWorkflowId, WORKFLOW_QUEUE, WORKFLOW_TASK_TIMEOUT } from '../contract/names.ts';
import { COMMANDS, type TaskInput, type TemporalContent } from '../contract/task.ts';
import { head } from '../contract/cut-text.ts';
import { isRunAlreadyStarted } from './temporal.ts';

/** Timeout of the start call. It is shorter than the age at which a claim becomes stale. */
const START_MS = 5_000;
const SUMMARY_CHARS = 200;
/** Temporal refuses a longer summary. Its default limit is 400 bytes, including the quotes. */
const SUMMARY_BYTES = 390;
/** Temporal's limit for the value of a search attribute of type keyword. */
const KEYWORD_CHARS = 255;

const KEYWORDS = {
  project: defineSearchAttributeKey(SEARCH_ATTRIBUTES.project, SearchAttributeType.KEYWORD),
  agent: defineSearchAttributeKey(SEARCH_ATTRIBUTES.agent, SearchAttributeType.KEYWORD),
  phase: defineSearchAttributeKey(SEARCH_ATTRIBUTES.phase, SearchAttributeType.KEYWORD),
};

export interface RunOptions {
  /** The name of the machine that has the projects. */
  readonly host: string;
  readonly temporalContent?: TemporalContent;
}

/** Starts the run of a claimed task and returns the run's id. If the run existed before, returns the id of that run. */
export async function startRun(client: Client, claimed: ClaimedTask, place: RunOptions): Promise<string> {
  const { host, temporalContent = 'full' } = place;
  const task = temporalContent === 'none' ? { ...claimed, project: null, agent: null, input: null } : claimed;
  const workflowId = taskWorkflowId(task.id);
  const input: TaskInput = { taskId: task.id, host, commands: COMMANDS };
  const summary = firstLine(task.input ?? '');
  try {
    const handle = await client.withDeadline(Date.now() + START_MS, () =>
      client.workflow.start('task', {
        taskQueue: WORKFLOW_QUEUE,
        workflowId,
        args: [input],
        workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        typedSearchAttributes: attributesOf(task),
        ...(summary ? { staticSummary: summary } : {}),
        ...(task.priority === null ? {} : { priority: { priorityKey: Math.min(5, Math.max(1, task.priority)) } }),
      }),
    );
    return handle.firstExecutionRunId;
  } catch (error) {
    if (!isRunAlreadyStarted(error)) throw error;
    const { runId } = await client.withDeadline(Date.now() + START_MS, () =>
      client.workflow.getHandle(workflowId).describe(),
    );
    return runId;
  }
}

function attributesOf(task: ClaimedTask): TypedSearchAttributes {
  const pairs: SearchAttributePair[] = [{ key: KEYWORDS.phase, value: 'queued' }];
  if (task.project) pairs.push({ key: KEYWORDS.project, value: keyword(task.project) });
  if (task.agent) pairs.push({ key: KEYWORDS.agent, value: keyword(task.agent) });
  return new TypedSearchAttributes(pairs);
}

const keyword = (text: string): string => head(text, KEYWORD_CHARS).toWellFormed();

/** Returns the first line that is not blank, cut to Temporal's limit. */
function firstLine(input: string): string {
  const line = input.split('\n').find((candidate) => candidate.trim() !== '') ?? '';
  let cut = head(line.trim(), SUMMARY_CHARS);
  while (Buffer.byteLength(JSON.stringify(cut)) > SUMMARY_BYTES) cut = head(cut, cut.length - 1);
  return cut.toWellFormed();
}
