-- The tables that backends rely on, and ours beside them. A database that has the first seven already
-- keeps every row and column: what is missing is added, nothing is dropped or retyped.

CREATE TABLE IF NOT EXISTS projects (
  id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text,
  path text
);

CREATE TABLE IF NOT EXISTS available_agents (
  name         text PRIMARY KEY,
  supports_acp boolean,
  install_path text
);

CREATE TABLE IF NOT EXISTS tasks (
  id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id         uuid,
  input              text,
  agent              text,
  model              text,
  mode_id            text,
  thinking_option_id text,
  session_id         uuid,
  state              text,
  execution_path     text,
  created_at         timestamptz,
  started_at         timestamptz,
  ended_at           timestamptz,
  output_summary     text,
  cost_tokens        bigint
);

CREATE TABLE IF NOT EXISTS sessions (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id uuid,
  name       text,
  model      text,
  status     text
);

CREATE TABLE IF NOT EXISTS chats (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  session_id uuid,
  name       text,
  status     text,
  created_at timestamptz
);

CREATE TABLE IF NOT EXISTS messages (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  session_id  uuid,
  chat_id     uuid,
  role        text,
  content     text,
  status      text,
  tokens_used bigint,
  created_at  timestamptz,
  finished_at timestamptz
);

CREATE TABLE IF NOT EXISTS pending_changes (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  session_id uuid,
  task_id    uuid,
  file_path  text,
  operation  text,
  diff       text
);

-- Keys and defaults that an adopted table may lack. A key that its rows do not allow stops the migration.
DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES ('projects', 'id'), ('available_agents', 'name'), ('tasks', 'id'), ('sessions', 'id'),
                          ('chats', 'id'), ('messages', 'id'), ('pending_changes', 'id')) AS w(tbl, col)
  LOOP
    IF NOT EXISTS (
      SELECT FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
       WHERE i.indrelid = to_regclass(wanted.tbl) AND i.indisunique AND i.indnkeyatts = 1
         AND i.indpred IS NULL AND a.attname = wanted.col
    ) THEN
      EXECUTE format('CREATE UNIQUE INDEX %I ON %I (%I)', wanted.tbl || '_' || wanted.col || '_key', wanted.tbl, wanted.col);
    END IF;
    IF wanted.col = 'id' THEN
      EXECUTE format('ALTER TABLE %I ALTER COLUMN id SET DEFAULT gen_random_uuid()', wanted.tbl);
    END IF;
  END LOOP;
END $$;

ALTER TABLE tasks
  ALTER COLUMN state SET DEFAULT 'pending',
  ALTER COLUMN created_at SET DEFAULT now(),
  ADD COLUMN IF NOT EXISTS phase               text NOT NULL DEFAULT 'queued',
  ADD COLUMN IF NOT EXISTS error_code          text,
  ADD COLUMN IF NOT EXISTS priority            smallint,
  ADD COLUMN IF NOT EXISTS permission_policy   text,
  ADD COLUMN IF NOT EXISTS queue_position      bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS claimed_at          timestamptz,
  ADD COLUMN IF NOT EXISTS run_id              text,
  ADD COLUMN IF NOT EXISTS cancel_requested_at timestamptz,
  ADD COLUMN IF NOT EXISTS cancel_reason       text,
  ADD COLUMN IF NOT EXISTS chat_id             uuid,
  ADD COLUMN IF NOT EXISTS message_id          uuid,
  ADD COLUMN IF NOT EXISTS host                text,
  ADD COLUMN IF NOT EXISTS worktree_path       text,
  ADD COLUMN IF NOT EXISTS base_commit         text,
  ADD COLUMN IF NOT EXISTS kept_worktree       text;
-- The queue is in the order of their times. Rows without a state stay so: nobody has asked for them to run.
UPDATE tasks SET created_at = now() WHERE created_at IS NULL AND state = 'pending';

ALTER TABLE sessions
  ALTER COLUMN status SET DEFAULT 'open',
  ADD COLUMN IF NOT EXISTS created_at    timestamptz NOT NULL DEFAULT now(),
  -- Last frame's number; frames that the present writer has added; who may write; below this no deltas are kept.
  ADD COLUMN IF NOT EXISTS seq           bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS written       bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS writer        uuid,
  ADD COLUMN IF NOT EXISTS compacted_seq bigint NOT NULL DEFAULT 0;

ALTER TABLE chats
  ALTER COLUMN status SET DEFAULT 'open',
  ALTER COLUMN created_at SET DEFAULT now();

ALTER TABLE messages
  ALTER COLUMN created_at SET DEFAULT now(),
  ADD COLUMN IF NOT EXISTS task_id     uuid,
  ADD COLUMN IF NOT EXISTS reasoning   text,
  ADD COLUMN IF NOT EXISTS tool_calls  jsonb,
  ADD COLUMN IF NOT EXISTS plan        jsonb,
  ADD COLUMN IF NOT EXISTS truncated   boolean NOT NULL DEFAULT false,
  ADD COLUMN IF NOT EXISTS total_chars bigint;

ALTER TABLE pending_changes
  ADD COLUMN IF NOT EXISTS state         text NOT NULL DEFAULT 'pending',
  ADD COLUMN IF NOT EXISTS created_at    timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN IF NOT EXISTS patch         bytea,
  ADD COLUMN IF NOT EXISTS partial       boolean NOT NULL DEFAULT false,
  ADD COLUMN IF NOT EXISTS base_commit   text,
  ADD COLUMN IF NOT EXISTS result_commit text,
  ADD COLUMN IF NOT EXISTS files         jsonb,
  ADD COLUMN IF NOT EXISTS additions     integer,
  ADD COLUMN IF NOT EXISTS deletions     integer,
  ADD COLUMN IF NOT EXISTS ignored_files jsonb;

ALTER TABLE projects ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now();

-- Who listed the agent: 'longhaul' rows are renewed by a starting worker, all others are left alone.
ALTER TABLE available_agents ADD COLUMN IF NOT EXISTS listed_by text;

-- The log that followers read. Deliberately without foreign keys: it is the hot path, and its session
-- row is locked by the same statement.
CREATE TABLE frames (
  session_id uuid        NOT NULL,
  seq        bigint      NOT NULL,
  type       text        NOT NULL,
  task_id    uuid,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  body       jsonb       NOT NULL,
  -- Frames of steps carry a key so that a step run twice writes them once; an agent's frames have none.
  key        text,
  PRIMARY KEY (session_id, seq)
);
CREATE UNIQUE INDEX frames_key ON frames (session_id, key) WHERE key IS NOT NULL;

CREATE TABLE permissions (
  id           uuid PRIMARY KEY,
  task_id      uuid NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  session_id   uuid NOT NULL,
  state        text NOT NULL DEFAULT 'pending',
  options      jsonb NOT NULL,
  tool_call    jsonb,
  chosen       text,
  requested_at timestamptz NOT NULL DEFAULT now(),
  resolved_at  timestamptz
);

-- One execution of the dispatch step. boot_id, worker_pid and worker_start tell whether its worker lives;
-- pid and pid_start the agent's process.
CREATE TABLE attempts (
  task_id          uuid        NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  attempt          integer     NOT NULL,
  host             text        NOT NULL,
  run_id           text        NOT NULL,
  token            uuid        NOT NULL,
  boot_id          text        NOT NULL,
  worker_pid       integer     NOT NULL,
  worker_start     text        NOT NULL,
  pid              integer,
  pid_start        text,
  agent_session_id text,
  started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  spawned_at       timestamptz,
  ended_at         timestamptz,
  -- Why it ended without an outcome, and what the step returned once it had one.
  error_code       text,
  outcome          jsonb,
  PRIMARY KEY (task_id, attempt)
);
CREATE INDEX attempts_open ON attempts (host) WHERE ended_at IS NULL;

-- What the diff step found, until the next step queues it: the two run on different machines, and Temporal's
-- history carries no diffs.
CREATE TABLE collected_diffs (
  task_id       uuid PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
  base_commit   text    NOT NULL,
  result_commit text    NOT NULL,
  diff          text    NOT NULL,
  patch         bytea   NOT NULL,
  files         jsonb   NOT NULL,
  additions     integer NOT NULL,
  deletions     integer NOT NULL,
  ignored_files jsonb   NOT NULL
);

CREATE TABLE hosts (
  name          text PRIMARY KEY,
  registered_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX tasks_open ON tasks (created_at) WHERE state IN ('pending', 'running');
CREATE INDEX tasks_by_session ON tasks (session_id, queue_position, created_at);
CREATE UNIQUE INDEX tasks_one_claim_a_session ON tasks (session_id) WHERE claimed_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX chats_by_session ON chats (session_id, created_at);
CREATE INDEX messages_by_session ON messages (session_id, created_at);
CREATE INDEX changes_by_session ON pending_changes (session_id, created_at);
CREATE INDEX changes_by_task ON pending_changes (task_id);
