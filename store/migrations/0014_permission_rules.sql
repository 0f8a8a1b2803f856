-- Rules that answer permission requests before the task's policy: those of the task first, then of its session, then of its
-- project; within these by position. A column that is NULL matches everything.
CREATE TABLE permission_rules (
  id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  task_id         uuid        REFERENCES tasks (id) ON DELETE CASCADE,
  session_id      uuid        REFERENCES sessions (id) ON DELETE CASCADE,
  project_id      uuid        REFERENCES projects (id) ON DELETE CASCADE,
  position        integer     NOT NULL DEFAULT 0,
  effect          text        NOT NULL CHECK (effect IN ('allow', 'deny', 'ask')),
  -- A kind of tool call, as in ACP.
  tool_kind       text,
  -- Relative to the worktree.
  path_glob       text,
  command_pattern text,
  -- The request whose answer made the rule.
  permission_id   uuid,
  created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK (num_nonnulls(task_id, session_id, project_id) = 1)
);
CREATE INDEX permission_rules_task ON permission_rules (task_id);
CREATE INDEX permission_rules_session ON permission_rules (session_id);
CREATE INDEX permission_rules_project ON permission_rules (project_id);

-- What the answer "always" would make rules of: tool_kind, path_glob, command_pattern.
ALTER TABLE permissions ADD COLUMN always jsonb;
