/** Ids, each with a type of its own. */
declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };
export type TaskId = Id<'TaskId'>;
export type ProjectId = Id<'ProjectId'>;
export type SessionId = Id<'SessionId'>;
export type ChatId = Id<'ChatId'>;
export type MessageId = Id<'MessageId'>;
export type ChangeId = Id<'ChangeId'>;
export type PermissionId = Id<'PermissionId'>;
/** The agent's own conversation id. */
export type AgentSessionId = Id<'AgentSessionId'>;
