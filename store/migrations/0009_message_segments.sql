-- What a message holds in the order in which it came: text, reasoning, tool calls (by id), plans, borders of attempts, with
-- times and frame numbers. NULL: of users' messages, and of those that were finished before this migration.
ALTER TABLE messages ADD COLUMN IF NOT EXISTS segments jsonb;
