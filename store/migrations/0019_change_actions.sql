-- Applying, undoing and rejecting changes. A row is a request, and later the record of what was done: by whom, when,
-- where to. The journal has each path with its old and new content, and is written before the first file.
CREATE TABLE change_actions (
  id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  change_id    uuid        NOT NULL,
  kind         text        NOT NULL,
  state        text        NOT NULL DEFAULT 'requested',
  target       text        NOT NULL,
  requested_by text        NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at     timestamptz,
  journal      jsonb,
  error_code   text,
  message      text,
  -- Paths that the message is about: [{"path", "path_bytes", "reason"}].
  paths        jsonb
);

-- One action on a change at a time.
CREATE UNIQUE INDEX change_actions_open ON change_actions (change_id) WHERE ended_at IS NULL;
CREATE INDEX change_actions_by_change ON change_actions (change_id, requested_at);
