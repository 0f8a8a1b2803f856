-- What a request with an Idempotency-Key was answered, so that the same request again is answered the same. `answer` is
-- filled by the transaction that adds the row; json, not jsonb, as it is given back as it was.
CREATE TABLE idempotency_keys (
  key         text        PRIMARY KEY,
  fingerprint text        NOT NULL,
  task_id     uuid        NOT NULL,
  answer      json,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Lists are read in pages, newest first (store/pages.ts). Rows of adopted tables may have no time: they come last.
CREATE INDEX tasks_by_age ON tasks ((coalesce(created_at, 'epoch'::timestamptz)), id);
CREATE INDEX sessions_by_age ON sessions (created_at, id);
CREATE INDEX projects_by_age ON projects (created_at, id);
CREATE INDEX changes_by_age ON pending_changes (created_at, id);
