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

/** The beginning of an id, as commands and messages show it. A command accepts it where it is unique. */
export const shortId = (id: string): string => id.slice(0, 8);
