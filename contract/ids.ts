/** Ids. Each kind has its own type, so that the compiler refuses one kind in place of another. */
declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };
export type TaskId = Id<'TaskId'>;
export type ProjectId = Id<'ProjectId'>;
export type SessionId = Id<'SessionId'>;
export type ChatId = Id<'ChatId'>;
export type MessageId = Id<'MessageId'>;
export type ChangeId = Id<'ChangeId'>;
/** The id of an action on a change: one request to apply, undo or reject it. */
export type ActionId = Id<'ActionId'>;
export type PermissionId = Id<'PermissionId'>;
export type RuleId = Id<'RuleId'>;
/** The id that the agent gave to its own conversation. */
export type AgentSessionId = Id<'AgentSessionId'>;

/** Returns the beginning of an id, as commands and messages show it. A command accepts any beginning that is unique. */
export const shortId = (id: string): string => id.slice(0, 8);
