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

-- Lists are read in pages, newest first (store/pages.ts). Rows of adopted tables may have no time; one whose time is of
-- another type has no index, as the expression would not be immutable.
DO $$
DECLARE
  listed text;
BEGIN
  FOR listed IN
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.oid IN (to_regclass('tasks'), to_regclass('sessions'), to_regclass('projects'), to_regclass('pending_changes'))
       AND a.attname = 'created_at' AND a.atttypid = 'timestamptz'::regtype
  LOOP
    EXECUTE format('CREATE INDEX %I ON %I ((coalesce(created_at, ''epoch''::timestamptz)), id)', listed || '_by_age', listed);
  END LOOP;
END $$;

-- The worker's counters on their way to the backend's /metrics. Unlogged: after a crash of Postgres they are counted anew.
CREATE UNLOGGED TABLE worker_metrics (
  host    text        PRIMARY KEY,
  metrics text        NOT NULL,
  at      timestamptz NOT NULL
);
