/**
 * Submits a task. It refuses a submission that would fail later, then inserts the row. Intake starts the task, as it
 * starts a task whose row another program inserted.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { agentDisabledError, isDisabled } from '../store/agent-snapshots.ts';
import { appendKeyed } from '../store/append-frames.ts';
import { type ListedAgent, listAgents } from '../store/available-agents.ts';
import { idOf } from '../store/ids.ts';
import { addUserMessage } from '../store/messages.ts';
import { userMessageFrame } from '../store/open-task.ts';
import { insertRule } from '../store/permission-rules.ts';
import { refuseOutside } from '../store/project-roots.ts';
import { findProject } from '../store/projects.ts';
import { addChat, isChatOfSession, findSession, lockSession, newestAgent, newestOpenChat } from '../store/sessions.ts';
import { interruptSession } from '../store/session-queue.ts';
import type { Db, Sql, Tx } from '../store/sql.ts';
import { refuseInvalidTaskValues } from '../store/task-limits.ts';
import { insertTask } from '../store/tasks.ts';
import { wellFormedText } from '../store/well-formed.ts';
import type { ChatId, ProjectId, SessionId, TaskId } from '../contract/ids.ts';
import { LonghaulError } from '../contract/errors.ts';
import { NATIVE_AGENT } from '../contract/names.ts';
import type { RuleEffect, RuleMatch } from '../contract/permission-rules.ts';
import { signalCancel } from './cancel.ts';
import { checkChoices } from './choices.ts';
import { checkedMatch } from './permission-rules.ts';
import { projectAt, repositoryAt } from './projects.ts';
import { refuseWithoutCommit } from './repository-check.ts';
import { isUuid } from './short-ids.ts';

export interface SubmitDeps {
  readonly sql: Sql;
  /** The folders that projects must lie under. If there are none, a project may lie anywhere. */
  readonly projectRoots?: readonly string[];
  /** The connection that starts probes of agents. If absent, choices are checked against the stored snapshots only. */
  readonly temporal?: Client;
}

export interface Submission {
  /** The project, by its id or by a path. One of the two is required, unless `sessionId` is given. */
  readonly projectId?: string;
  readonly projectPath?: string;
  readonly input: string;
  /**
   * A name from `available_agents`. Default: the agent of the session's newest task; for a new session the native
   * agent.
   */
  readonly agent?: string;
  readonly model?: string;
  readonly modeId?: string;
  readonly thinkingOptionId?: string;
  /** The session that the task continues. The task starts after the tasks that already wait in that session. */
  readonly sessionId?: string;
  readonly chatId?: string;
  /**
   * If true, the cancel of the session's running task is requested in the transaction that adds this task, and this
   * task becomes the first in the session's queue. Requires `sessionId`.
   */
  readonly interrupt?: boolean;
  /** From 1, the highest, to 5. Default: 3. */
  readonly priority?: number;
  /**
   * How the agent's permission requests are answered: `allow` (default) and `deny` answer at once, `ask` waits for a
   * user's answer.
   */
  readonly permissionPolicy?: string;
  /** The number of seconds that a request waits for a user's answer. Default: no limit. */
  readonly permissionTimeoutS?: number;
  /** The answer after the timeout: `deny` (default) or `allow`. */
  readonly permissionDefault?: string;
  /** The rules of the task, in the order in which they are compared. */
  readonly rules?: readonly SubmittedRule[];
}

/** A rule that is submitted with a task. At least one of its optional fields must be present. */
export interface SubmittedRule extends Partial<RuleMatch> {
  readonly effect: RuleEffect;
}

export interface SubmittedTask {
  readonly taskId: TaskId;
  readonly projectId: ProjectId;
  /** Why the choices were accepted without a check. Absent if they were checked, or if the submission has none. */
  readonly note?: string;
  /** The running task whose cancel was requested, if `Submission.interrupt` was set. */
  readonly interrupted?: TaskId;
}

export async function submit(deps: SubmitDeps, submission: Submission): Promise<SubmittedTask> {
  const task = await checkSubmission(deps, submission);
  const interrupted = await deps.sql.begin((tx) => insertSubmission(tx, task));
  await deliverInterrupt(deps, interrupted);
  const { taskId, projectId, note } = task;
  return { taskId, projectId, ...(note === undefined ? {} : { note }), ...(interrupted && { interrupted }) };
}

/**
 * Sends the cancel signal to an interrupted task. The cancel request is stored in the transaction that adds the new
 * task, so intake sends the signal if this process does not.
 */
export async function deliverInterrupt({ temporal }: SubmitDeps, interrupted: TaskId | undefined): Promise<void> {
  if (temporal && interrupted) await signalCancel(temporal, interrupted);
}

export interface CheckedSubmission extends SubmittedTask {
  readonly submission: Submission;
  /** Undefined if the native agent does the task. */
  readonly agent: ListedAgent | undefined;
}

/** Refuses a submission that would fail later. Adds the project if it is new, but creates no task yet. */
export async function checkSubmission(deps: SubmitDeps, given: Submission): Promise<CheckedSubmission> {
  const submission = { ...given, input: wellFormedText(given.input) };
  refuseValues(submission);
  const agent = await agentOf(deps.sql, submission.agent ?? (await agentOfSession(deps.sql, submission.sessionId)));
  const name = agent?.name ?? NATIVE_AGENT;
  if (await isDisabled(deps.sql, name)) throw agentDisabledError(name);
  const projectId = await projectOf(deps, submission, agent === undefined);
  const { model, modeId: mode, thinkingOptionId: thinking } = submission;
  const note = await checkChoices(deps, {
    agent: name,
    projectId,
    choices: { ...(model && { model }), ...(mode && { mode }), ...(thinking && { thinking }) },
    continues: submission.sessionId !== undefined,
  });
  return { submission, agent, projectId, taskId: randomUUID() as TaskId, ...(note === undefined ? {} : { note }) };
}

/** Inserts the task. Returns the running task whose cancel was requested, if the submission interrupts one. */
export async function insertSubmission(tx: Tx, task: CheckedSubmission): Promise<TaskId | undefined> {
  const { taskId, projectId, submission, agent, note } = task;
  const { input, model, modeId, thinkingOptionId, priority, permissionPolicy } = submission;
  const { permissionTimeoutS, permissionDefault } = submission;
  const place = await sessionAndChatOf(tx, submission, projectId);
  const interrupt = submission.interrupt && place ? await interruptSession(tx, { ...place, by: taskId }) : undefined;
  const chatId = place ? await addToSession(tx, { taskId, input, agent, ...place }) : undefined;
  await insertTask(tx, {
    id: taskId,
    projectId,
    input,
    ...(agent ? { agent: agent.name } : {}),
    ...(note ? { choicesNote: note } : {}),
    ...(model ? { model } : {}),
    ...(modeId ? { modeId } : {}),
    ...(thinkingOptionId ? { thinkingOptionId } : {}),
    ...(priority === undefined ? {} : { priority }),
    ...(permissionPolicy ? { permissionPolicy } : {}),
    ...(permissionTimeoutS === undefined ? {} : { permissionTimeoutS }),
    ...(permissionDefault ? { permissionDefault } : {}),
    ...(place && chatId ? { sessionId: place.sessionId, chatId } : {}),
    ...(interrupt && { queuePosition: interrupt.position }),
  });
  for (const { effect, ...match } of submission.rules ?? []) {
    await insertRule(tx, { place: { taskId }, effect, match: checkedMatch(match) });
  }
  return interrupt?.interrupted;
}

/** The maximum number of rules of a task. Each request of the agent is compared with all of them. */
const MAX_RULES = 100;

function invalid(message: string): LonghaulError {
  return new LonghaulError('invalid_input', message);
}

/**
 * For these fields an absent value means the default. An empty text is refused, because the caller probably lost the
 * value.
 */
const NOT_EMPTY = {
  projectId: 'project_id',
  projectPath: 'project_path',
  agent: 'agent',
  model: 'model',
  modeId: 'mode_id',
  thinkingOptionId: 'thinking_option_id',
  sessionId: 'session_id',
  chatId: 'chat_id',
} as const satisfies Partial<Record<keyof Submission, string>>;

function refuseEmpty(submission: Submission): void {
  for (const [key, name] of Object.entries(NOT_EMPTY) as [keyof typeof NOT_EMPTY, string][]) {
    if (submission[key]?.trim() === '')
      throw invalid(`${name}: expected a value, found an empty text. Leave it out for the default.`);
  }
}

function refuseValues(submission: Submission): void {
  refuseEmpty(submission);
  if (submission.input.trim() === '') throw invalid('input is empty: say what the agent is to do.');
  refuseInvalidTaskValues(submission);
  refuseUnusedAsk(submission);
  refuseRules(submission.rules ?? []);
}

function refuseRules(rules: readonly SubmittedRule[]): void {
  if (rules.length > MAX_RULES) throw invalid(`rules: expected at most ${MAX_RULES}, found ${rules.length}.`);
  for (const rule of rules) checkedMatch(rule);
}

/**
 * Refuses the two options of a permission timeout for a task whose policy never waits. A caller that sets them expects
 * a wait.
 */
function refuseUnusedAsk({ permissionPolicy: policy, permissionTimeoutS, permissionDefault }: Submission): void {
  if (policy === 'ask') return;
  const unused = { permission_timeout_s: permissionTimeoutS, permission_default: permissionDefault };
  const [name] = Object.entries(unused).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  if (name === undefined) return;
  const found = policy === undefined ? 'no permission_policy, which is "allow"' : `"${policy}"`;
  throw invalid(
    `${name}: expected permission_policy "ask" with it, found ${found}. Set the policy or leave ${name} out.`,
  );
}

/** Returns undefined if the native agent does the task, because the task names it or names no agent. */
async function agentOf(sql: Sql, name: string | undefined): Promise<ListedAgent | undefined> {
  if (name === undefined || name === NATIVE_AGENT) return undefined;
  const listed = await listAgents(sql);
  const agent = listed.find((candidate) => candidate.name === name);
  if (agent) return agent;
  const names = listed.map((candidate) => candidate.name).join(', ') || 'none (is the worker up?)';
  throw new LonghaulError(
    'agent_unknown',
    `There is no agent ${JSON.stringify(name)}. Listed: ${names}. \`longhaul agents\` shows what can be added.`,
  );
}

/**
 * Returns the agent of the session's newest task, because a session continues with the same agent. Fails with
 * `session_not_found`.
 */
export async function agentOfSession(sql: Sql, sessionId: string | undefined): Promise<string | undefined> {
  if (sessionId === undefined) return undefined;
  await knownSession(sql, sessionId);
  return newestAgent(sql, sessionId as SessionId);
}

async function knownSession(db: Db, sessionId: string): Promise<{ readonly projectId: ProjectId | null }> {
  const session = isUuid(sessionId) ? await findSession(db, sessionId as SessionId) : undefined;
  if (!session) throw new LonghaulError('session_not_found', `There is no session ${sessionId}.`);
  return session;
}

/**
 * Returns the project of the submission. If `isNative`, the native agent does the task; it also accepts a project
 * without a path, in which it only answers.
 */
async function projectOf(
  deps: SubmitDeps,
  { projectId, projectPath, sessionId }: Submission,
  isNative: boolean,
): Promise<ProjectId> {
  if (projectPath !== undefined && projectId !== undefined) throw invalid('Give project_id or project_path, not both.');
  if (projectPath !== undefined) {
    const project = await projectAt(deps.sql, projectPath, deps.projectRoots);
    await refuseWithoutCommit(project.path);
    return project.id;
  }
  if (projectId === undefined) {
    if (sessionId === undefined) throw invalid('Neither a project nor a session is given: give one of them.');
    return knownProject(deps, await projectOfSession(deps.sql, sessionId), isNative);
  }
  return knownProject(deps, projectId, isNative);
}

async function knownProject({ sql, projectRoots = [] }: SubmitDeps, id: string, isNative: boolean): Promise<ProjectId> {
  const project = isUuid(id) ? await findProject(sql, id as ProjectId) : undefined;
  if (!project) throw new LonghaulError('project_not_found', `There is no project ${id}.`);
  if (!project.path && isNative) return project.id;
  if (!project.path) {
    throw new LonghaulError('project_has_no_path', 'Project has no path — cannot create worktree');
  }
  const topLevel = await repositoryAt(project.path);
  await refuseOutside(topLevel, projectRoots);
  await refuseWithoutCommit(topLevel);
  return project.id;
}

async function projectOfSession(sql: Sql, sessionId: string): Promise<ProjectId> {
  const session = await knownSession(sql, sessionId);
  if (session.projectId) return session.projectId;
  throw invalid(`Session ${sessionId} has no project: give the project, too.`);
}

interface SessionAndChat {
  readonly sessionId: SessionId;
  /** If absent, the task uses the session's newest open chat, or a new one. */
  readonly chatId?: ChatId;
}

async function sessionAndChatOf(
  tx: Tx,
  { sessionId, chatId, interrupt }: Submission,
  projectId: ProjectId,
): Promise<SessionAndChat | undefined> {
  if (sessionId === undefined) {
    if (chatId !== undefined) throw invalid('chat_id needs the session_id that the chat is of.');
    if (interrupt) throw invalid('interrupt needs the session_id of the session whose running task it cancels.');
    return undefined;
  }
  const session = await knownSession(tx, sessionId);
  if (session.projectId && session.projectId !== projectId) {
    const [its, other] = [await projectPathText(tx, session.projectId), await projectPathText(tx, projectId)];
    throw invalid(`Session ${sessionId} belongs to the project ${its}, the task to ${other}: leave the project out.`);
  }
  const place = { sessionId: sessionId as SessionId };
  if (chatId === undefined) return place;
  if (!isUuid(chatId) || !(await isChatOfSession(tx, chatId as ChatId, place.sessionId))) {
    throw invalid(`Chat ${chatId} is not a chat of session ${sessionId}.`);
  }
  return { ...place, chatId: chatId as ChatId };
}

/** Returns the project's path, because users know a project by its path. */
async function projectPathText(db: Db, id: ProjectId): Promise<string> {
  const project = await findProject(db, id);
  return project?.path ?? project?.name ?? id;
}

/**
 * Inserts the user message of a task that continues a session, in the transaction that inserts the task. Returns the
 * message's chat, which is created if the session has none.
 */
async function addToSession(
  tx: Tx,
  at: SessionAndChat & { taskId: TaskId; input: string; agent: ListedAgent | undefined },
): Promise<ChatId> {
  const { taskId, sessionId, input } = at;
  await lockSession(tx, sessionId);
  const known = at.chatId ?? (await newestOpenChat(tx, sessionId));
  const chatId = known ?? idOf(taskId, 'chat');
  if (!known) {
    await addChat(tx, { id: chatId, sessionId, name: at.agent ? 'External agent execution' : 'Task execution' });
  }
  await addUserMessage(tx, { id: idOf(taskId, 'user-message'), sessionId, chatId, taskId, content: input });
  await appendKeyed(tx, sessionId, [userMessageFrame(taskId, { chatId, input })]);
  return chatId;
}
